# SPDX-License-Identifier: GPL-3.0-or-later
"""New files under random names: written whole and synced, and removed unless they are kept."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.freeze import Failpoint, no_failpoint

_NAME = ".xen-guest-bootloader-{}.tmp"
_OURS = re.compile(r"\.xen-guest-bootloader-[0-9a-f]{16}\.tmp")
KEPT_ATTRIBUTES = ("system.posix_acl_access", "security.selinux", "user.")
"""Who may read a file besides its owner and group, its label, an admin's own notes."""


def name() -> str:
    """A random name, which no file has."""
    return _NAME.format(os.urandom(8).hex())


def is_ours(name: str) -> bool:
    """Whether `name` is one that `name()` makes."""
    return _OURS.fullmatch(name) is not None


@contextmanager
def held(directory: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """A free name in `directory`, and `keep`: unless that was called, the file of this name is
    removed at the end.
    """
    free = name()
    with ExitStack() as unless_kept:
        unless_kept.callback(_forget, directory, free)
        yield free, unless_kept.pop_all


def write(
    directory: int,
    name: str,
    data: bytes,
    mode: int,
    *,
    sync: bool = True,
    failpoint: Failpoint = no_failpoint,
) -> None:
    """Make the new file `name` of exactly `data`, on the disk if `sync`; `failpoint` is called with
    `written` and `synced`.
    """
    # A named file, not O_TMPFILE: linkat(2) cannot replace, so a name would be needed anyway.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with closing(os.open(name, flags, 0o600, dir_fd=directory)) as fd:
        os.fchmod(fd, mode)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        failpoint("written")
        if sync:
            os.fsync(fd)
        failpoint("synced")


def take_attributes(directory: int, old: str, new: str) -> None:
    """Give the file `new` what an admin gave to `old` beside its mode, as far as it can be had."""
    here = f"/proc/self/fd/{directory}"
    with suppress(OSError):
        for each in os.listxattr(f"{here}/{old}", follow_symlinks=False):
            if each.startswith(KEPT_ATTRIBUTES):
                with suppress(OSError):
                    value = os.getxattr(f"{here}/{old}", each, follow_symlinks=False)
                    os.setxattr(f"{here}/{new}", each, value, follow_symlinks=False)


def _forget(directory: int, name: str) -> None:
    with suppress(OSError):  # it may never have been made; why is on its way up
        os.unlink(name, dir_fd=directory)
