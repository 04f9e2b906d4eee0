"""Debian's GRUB tools, run for one root: grub-probe, grub-install in staging, grub-mkconfig, grub-script-check."""

import errno
import fcntl
import os
import re
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import durable, sandbox, space
from guest_hooks.machine.failures import told
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed, Run, run
from guest_hooks.targets import BOOT_XEN, Target

GRUB_DIR = "/boot/grub"
GRUBENV = f"{GRUB_DIR}/grubenv"
DIVERTED = "/usr/sbin/grub-install.distrib"
"""Where this package's diversion keeps Debian's grub-install (debian/xen-guest-bootloader.preinst)."""
STAGING_DIR = "/run/xen-guest-bootloader"
STAGING_PREFIX = "staging."
ENVIRONMENT_BYTES = 8192
"""What grub-install may put beside the live files: grubenv, and a directory for it."""
LOCALE = "/etc/default/locale"
_LOCALE_LINE = re.compile(r"""^\s*(?:export\s+)?(LANG|LANGUAGE|LC_MESSAGES|LC_ALL)=["']?([^"'\s]*)""", re.MULTILINE)
INSTALL_TIMEOUT = 300
PROBE_TIMEOUT = 60
PROBED = ("fs_uuid", "abstraction", "drive", "partmap", "fs")
_ASK = 'set -e; path=$1; shift; for what; do grub-probe --target="$what" "$path"; printf "\\0"; done; exec grub-mkrelpath "$path"'
"""One shell for all questions: a tree's namespace costs more to make than the answers."""
SPOILED_DIRS = (f"{GRUB_DIR}/locale", f"{GRUB_DIR}/fonts")
"""What grub-install empties and fills in place, whichever target it installs."""
_MADE = (GRUBENV, *SPOILED_DIRS)
_CLEANED = (".mod", ".lst", ".img", ".mo")
"""What it makes in /boot/grub itself, and removes there but for menu.lst (grub: util/grub-install-common.c, clean_grub_dir)."""
_NOT_FOUND = 127
"""sh's exit code for a program that is not there."""
NOTHING_ELSE = ("--locales=", "--fonts=", "--themes=")
"""Only modules and core image: a second stage on a Xen console shows no fonts, and translations are the admin's grub-install's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What one grub-install left in staging: the core image, and the directory (ours) with the modules and core.elf."""

    core: bytes
    module_dir: str
    completed: Completed

    def module_files(self) -> dict[str, bytes]:
        """The files of the module directory by name."""
        files = {}
        for entry in os.scandir(self.module_dir):
            if entry.is_file(follow_symlinks=False):
                with open(entry.path, "rb") as file:
                    files[entry.name] = file.read()
        return files


def facts(root: Root, path: str, *, run: Run = run) -> Mapping[str, str]:
    """GRUB's word on the file system of `path`: grub-probe's for each of `PROBED`, grub-mkrelpath's as `path`.

    Raises `LackingError` where GRUB's tools are not installed, `CommandError` where they can't tell.
    """
    try:
        with _namespace():
            command = sandbox.command(root, ["sh", "-c", _ASK, "sh", path, *PROBED])
            completed = run(command, name=f"grub-probe {path}", timeout=PROBE_TIMEOUT)
    except CommandError as error:
        if error.code == _NOT_FOUND:
            raise LackingError(f"GRUB's tools are not installed in {root.path}", hint="apt install grub-common") from error
        raise
    answers = completed.text.split("\0")
    if len(answers) != len(PROBED) + 1:
        raise CommandError("grub-probe and grub-mkrelpath gave no answer, and no error")
    return dict(zip((*PROBED, "path"), map(str.strip, answers), strict=True))


@contextmanager
def staging(
    root: Root, target: Target, arguments: Sequence[str], *, files: Mapping[str, bytes] = MappingProxyType({}), run: Run = run
) -> Iterator[Staged]:
    """Run grub-install with `--target` and `arguments` beside the live files; what it made is there until the end.

    It finds `files`, by name, in what it takes for /boot/xen.
    Raises `LackingError` where the target's modules are not installed, namespaces are refused or there is no room for staging,
    `CommandError` where it fails.
    """
    if not root.exists(f"{target.lib_dir}/moddep.lst"):
        raise LackingError(
            f"GRUB's modules for {target.name} are not installed: no {target.lib_dir}", hint="apt install grub-xen-bin"
        )
    # The modules, the core image twice, and what whole blocks add; beside them translations and fonts, unless told not to.
    beside = () if set(NOTHING_ELSE) <= set(arguments) else SPOILED_DIRS
    need = 2 * _size_of_modules(root, target.lib_dir) + sum(_size(root, path) for path in beside)
    with _scratch(need) as top:
        have = space.free(Root(), STAGING_DIR)
        over = {f"{GRUB_DIR}/{target.name}": "modules", BOOT_XEN: "xen"}
        over |= {path: os.path.basename(path) for path in SPOILED_DIRS if root.exists(path)}
        for path in over:
            durable.make_dirs(root, path)
        with told(Root(), STAGING_DIR, "filled", need=need):
            binds = [_bind(top, path, name) for path, name in over.items()]
            for name, data in files.items():
                with open(os.path.join(top, "xen", name), "wb") as file:
                    file.write(data)
        # the wrapper lets what bears our mark (run.environment) through, under the name it was called by
        argv = ["grub-install", f"--target={target.name}", *arguments]
        with _room(root, need, have), _namespace():
            completed = run(sandbox.command(root, argv, binds=binds), name=shlex.join(argv[:2]), timeout=INSTALL_TIMEOUT)
        modules = os.path.join(top, "modules")
        yield Staged(core=_read(os.path.join(modules, "core.elf"), target), module_dir=modules, completed=completed)


def stays_in_staging(root: Root) -> bool:
    """Whether a grub-install in staging would find nothing to make or to remove beside what is staged."""
    old = [name for name in root.names(GRUB_DIR) if name.endswith(_CLEANED) and name != "menu.lst"]
    return not old and all(map(root.exists, (BOOT_XEN, *_MADE)))


def _size(root: Root, directory: str) -> int:
    return sum(status.st_size for _, status in _followed(root, directory))


def _size_of_modules(root: Root, directory: str) -> int:
    """The bytes of GRUB's modules; raises `NotRepairedError` for a fifo or device there, on which grub-install waits for ever."""
    size = 0
    for name, status in _followed(root, directory):
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            where = root.outside(f"{directory}/{name}")
            raise NotRepairedError(f"{where} is not a regular file", hint="apt install --reinstall grub-xen-bin")
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size


def _followed(root: Root, directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """What the names in `directory` lead to."""
    for name, status in root.entries(directory).items():
        found = root.stat(f"{directory}/{name}") if stat.S_ISLNK(status.st_mode) else status
        if found is not None:
            yield name, found


def make_config(root: Root, *, run: Run = run) -> bytes:
    """The grub.cfg that grub-mkconfig would write now; nothing is written."""
    if not root.exists("/usr/sbin/grub-mkconfig"):
        raise LackingError("grub-mkconfig is not installed", hint="apt install grub2-common")
    with _namespace():
        return run(
            sandbox.command(root, ["grub-mkconfig"]), name="grub-mkconfig", timeout=INSTALL_TIMEOUT, env=_locale(root)
        ).stdout


def _locale(root: Root) -> dict[str, str]:
    """The system's locale: 10_linux translates the titles, and GRUB_DEFAULT may name an entry by its title."""
    set_there = dict(_LOCALE_LINE.findall(root.read_text(LOCALE) or ""))
    return {"LC_ALL": "", **set_there} if set_there else {}


def script_error(root: Root, config: bytes, *, run: Run = run) -> str:
    """Why GRUB's script parser refuses `config`, or an empty string where it accepts it."""
    command = sandbox.bare_command(root, ["grub-script-check"])
    completed = run(command, stdin=config, timeout=PROBE_TIMEOUT, success_codes=(0, 1))
    said = completed.stderr.decode(errors="replace").strip() or "grub-script-check refuses it"
    return "" if completed.code == 0 else said.splitlines()[-1]


def sweep() -> None:
    """Remove the staging directories that killed runs left; those of living runs, on other roots under other locks, stay."""
    with suppress(FileNotFoundError):
        for name in os.listdir(STAGING_DIR):
            if name.startswith(STAGING_PREFIX):
                _remove_abandoned(os.path.join(STAGING_DIR, name))


def _remove_abandoned(top: str) -> None:
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A grub-install that outlived its killed parent may still write here; what it leaves is for the next sweep.
        shutil.rmtree(top, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(fd)


@contextmanager
def _scratch(need: int) -> Iterator[str]:
    """A staging directory that is locked, and so not swept by a run on another root, for as long as this process lives.

    `need` is the bytes that are to be put there.
    """
    with told(Root(), STAGING_DIR, "made", need=need):
        os.makedirs(STAGING_DIR, mode=0o755, exist_ok=True)
    while True:
        with told(Root(), STAGING_DIR, "filled", need=need):
            made = tempfile.TemporaryDirectory(prefix=STAGING_PREFIX, dir=STAGING_DIR, ignore_cleanup_errors=True)
        with made as top:
            with told(Root(), STAGING_DIR, "locked"):
                fd = _locked(top)
            if fd is None:
                continue
            try:
                yield top
            finally:
                os.close(fd)
            return


def _locked(top: str) -> int | None:
    """A descriptor that holds the lock on `top`, or None where another run's sweep came between making and locking it."""
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(top):
            return fd
    os.close(fd)
    return None


def _bind(top: str, path: str, name: str) -> sandbox.Bind:
    source = os.path.join(top, name)
    os.mkdir(source)
    return sandbox.Bind(source=source, path=path)


def _read(path: str, target: Target) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise NotRepairedError(f"grub-install for {target.name} ended well and made no core.elf") from error


@contextmanager
def _namespace() -> Iterator[None]:
    """`LackingError` where what runs in here may not have a mount namespace of its own."""
    try:
        yield
    except CommandError as error:
        if "unshare failed" in error.stderr or "unshare: " in error.stderr:
            raise LackingError(
                "this process may not make a mount namespace (unshare)", hint="run as root, outside an unprivileged container"
            ) from error
        raise


@contextmanager
def _room(root: Root, need: int, have: int) -> Iterator[None]:
    """`LackingError` where grub-install runs out of space: about `need` bytes of staging, which had `have` when it began."""
    try:
        yield
    except CommandError as error:
        if not any(os.strerror(code) in error.stderr for code in (errno.ENOSPC, errno.EDQUOT)):
            raise
        where = STAGING_DIR
        # It writes to staging, and an environment block to the guest's own directory.
        if (left := space.free(root, GRUB_DIR)) < space.free(Root(), STAGING_DIR):
            where, need, have = root.outside(GRUB_DIR), ENVIRONMENT_BYTES, left
        raise LackingError(
            f"{where} has no room for what grub-install makes: it needs {need} bytes, {have} are free",
            hint=f"make room: df {where}",
        ) from error
