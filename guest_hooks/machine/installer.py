# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-install, run beside the live files: what it makes goes to staging, and is not trusted when
it is read.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import durable, sandbox, space, staging
from guest_hooks.machine.root import MOST_FILES, NotRegularError, Root
from guest_hooks.machine.run import CommandError, Completed, run
from guest_hooks.machine.staging import (
    AGAIN,
    MOST_STAGED_FILES,
    STAGED_MARGIN,
    STAGING_DIR,
    XEN,
)
from guest_hooks.paths import BOOT_XEN, GRUB_DIR, GRUBENV
from guest_hooks.records import dataclass
from guest_hooks.sizes import size
from guest_hooks.targets import Target

ENVIRONMENT_BYTES = 8192
"""What grub-install may put beside the live files: grubenv, and a directory for it."""
INSTALL_TIMEOUT = 300
MODULES = "modules"
MAX_CORE = 16 << 20
SPOILED_DIRS = (f"{GRUB_DIR}/locale", f"{GRUB_DIR}/fonts")
"""What grub-install empties and fills in place, whichever target it installs."""
_MADE = (GRUBENV, *SPOILED_DIRS)
_CLEANED = (".mod", ".lst", ".img", ".mo")
"""What it makes in /boot/grub itself, and removes there but for menu.lst (grub:
util/grub-install-common.c, clean_grub_dir).
"""
NOTHING_ELSE = ("--locales=", "--fonts=", "--themes=")
"""Only modules and core image: a second stage on a Xen console shows no fonts, and translations
are the admin's grub-install's.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What one grub-install left in staging: the core image, and in `top` the directory with it
    and the modules.
    """

    core: bytes
    top: Root
    completed: Completed

    def module_files(self) -> dict[str, bytes]:
        """The files of the module directory by name; what is no plain file is left out."""
        return self.top.files(f"/{MODULES}", lambda _: True)


@contextmanager
def staged(
    root: Root,
    target: Target,
    arguments: Sequence[str],
    *,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Staged]:
    """Run grub-install with `--target` and `arguments` beside the live files; what it made is
    there until the end.

    It finds `files`, by name, in what it takes for /boot/xen. Raises `LackingError` where the
    target's modules are not installed, namespaces are refused or there is no room for staging,
    `CommandError` where it fails, `NotRepairedError` where what it left is no core image to be
    read.
    """
    if not root.exists(f"{target.lib_dir}/moddep.lst"):
        raise LackingError(
            f"GRUB's modules for {target.name} are not installed: no {target.lib_dir}",
            hint="apt install grub-xen-bin",
        )
    # The modules, the core image twice, and what whole blocks add; beside them translations and
    # fonts, unless told not to.
    beside = () if set(NOTHING_ELSE) <= set(arguments) else SPOILED_DIRS
    need = 2 * size_of_modules(root, target.lib_dir) + sum(_size(root, path) for path in beside)
    over = {f"{GRUB_DIR}/{target.name}": MODULES, BOOT_XEN: XEN}
    over |= {path: os.path.basename(path) for path in SPOILED_DIRS if root.exists(path)}
    for path in over:
        durable.make_dirs(root, path)
    binds = [sandbox.Bind(name=name, path=path) for path, name in over.items()]
    # the wrapper lets what bears our mark (run.environment) through, under the name it was called
    # by
    argv = ["grub-install", f"--target={target.name}", *arguments]
    name = shlex.join(argv[:2])
    with staging.stage(root, need, binds, files) as place:
        have = space.free(Root(), STAGING_DIR) if root.is_live else need + STAGED_MARGIN
        with _room(root, need, have), sandbox.namespace():
            completed = run(
                place.command(argv),
                name=name,
                timeout=INSTALL_TIMEOUT,
                with_offspring=root.is_live,
            )
        yield Staged(core=_core(place.top, target), top=place.top, completed=completed)


def stays_in_staging(root: Root) -> bool:
    """Whether grub-install would find nothing to make or to remove beside what is staged."""
    old = [name for name in root.names(GRUB_DIR) if name.endswith(_CLEANED) and name != "menu.lst"]
    return not old and all(map(root.exists, (BOOT_XEN, *_MADE)))


def _size(root: Root, directory: str) -> int:
    return sum(status.st_size for _, status in _followed(root, directory))


def size_of_modules(root: Root, directory: str) -> int:
    """The bytes of GRUB's modules; raises `NotRepairedError` for a fifo or device there, on
    which grub-install waits for ever.
    """
    size = 0
    if len(root.names(directory)) > MOST_FILES:
        raise NotRepairedError(
            f"{root.outside(directory)} has more files than any GRUB",
            hint=AGAIN,
        )
    for name, status in _followed(root, directory):
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            where = root.outside(f"{directory}/{name}")
            raise NotRepairedError(f"{where} is not a regular file", hint=AGAIN)
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size


def _followed(root: Root, directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """What the names in `directory` lead to."""
    for name, status in root.entries(directory).items():
        found = root.stat(f"{directory}/{name}") if stat.S_ISLNK(status.st_mode) else status
        if found is not None:
            yield name, found


def _core(top: Root, target: Target) -> bytes:
    try:
        return top.read(f"/{MODULES}/core.elf", limit=MAX_CORE)
    except (NotRegularError, OSError) as error:
        is_gone = isinstance(error, FileNotFoundError)
        made = "ended well and made no core.elf" if is_gone else f"made what can't be read: {error}"
        raise NotRepairedError(f"grub-install for {target.name} {made}", hint=AGAIN) from error


@contextmanager
def _room(root: Root, need: int, have: int) -> Iterator[None]:
    """`LackingError` where grub-install runs out of space: about `need` bytes of staging, which
    had `have` when it began.
    """
    try:
        yield
    except CommandError as error:
        if not any(os.strerror(code) in error.stderr for code in (errno.ENOSPC, errno.EDQUOT)):
            raise
        where = STAGING_DIR
        # It writes to staging, and an environment block to the guest's own directory.
        left = space.free(root, GRUB_DIR)
        if not root.is_live and left >= ENVIRONMENT_BYTES:
            raise NotRepairedError(
                f"grub-install makes more than {size(have)} or {MOST_STAGED_FILES} files, and its"
                f" modules take {size(need)}",
                hint=AGAIN,
            ) from error
        if not root.is_live or left < space.free(Root(), STAGING_DIR):
            where, need, have = root.outside(GRUB_DIR), ENVIRONMENT_BYTES, left
        raise LackingError(
            f"{where} has no room for what grub-install makes: it needs {size(need)}, and"
            f" {size(have)} are free",
            hint=f"make room: df {shlex.quote(where)}",
        ) from error
