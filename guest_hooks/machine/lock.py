# SPDX-License-Identifier: GPL-3.0-or-later
"""The one lock that every run which changes something holds; the kernel drops it when its
holder ends, however it ends.
"""

import errno
import fcntl
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from guest_hooks.errors import LockedError
from guest_hooks.machine import holders
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.failures import told, uninterrupted
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.paths import LOCK

BESIDE = "/run/xen-guest-bootloader"
"""Where the lock is, on this machine, while a tree's /var takes none: read-only, full, a file, it
takes none of another run either.
"""
_NO_PLACE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)
POLL_SECONDS = 0.05


@contextmanager
def held(
    root: Root,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the root's lock for the block; waits at most `timeout` seconds for it, then raises
    `LockedError` with the holder's name.

    Started programs do not inherit it, and a second `held` in the same process waits like any
    other. Nothing is written to the file, and it is never deleted: a lock on a deleted file would
    exclude nobody.
    """
    deadline = clock() + timeout
    while (fd := _acquired(root)) is None:
        if clock() >= deadline:
            raise LockedError(
                f"{root.outside(LOCK)} is held by {_holder(root)}; waited {timeout:g} s for it",
                hint="let it finish, or wait longer: --lock-timeout SECONDS",
            )
        sleep(POLL_SECONDS)
    with closing(fd):
        yield


def _acquired(root: Root) -> int | None:
    """The locked descriptor, or None where someone else holds the lock."""
    with told(root, LOCK, "opened"):
        place, path = root, LOCK
        try:
            fd = _made(root, LOCK)
        except OSError as error:
            if error.errno not in _NO_PLACE:
                raise
            place, path = Root(), _beside(root)
            with told(place, path, "opened"):
                fd = _made(place, path)
    with ExitStack() as unless_kept:
        unless_kept.callback(os.close, fd)
        if not _is_locked(place, path, fd):
            return None
        holders.leave_name(fd)
        unless_kept.pop_all()
        return fd


def _made(root: Root, path: str) -> int:
    uninterrupted(lambda: root.make_dirs(os.path.dirname(path)))
    return uninterrupted(lambda: _opened(root, path))


def _beside(root: Root) -> str:
    """The lock of this tree, on this machine, by what the tree is and not by what it is called."""
    top = os.stat(root.path)
    return f"{BESIDE}/lock-{top.st_dev:x}-{top.st_ino}"


def _is_locked(root: Root, path: str, fd: int) -> bool:
    """Whether `fd` could be locked at once and still is the file that others would lock."""
    where = root.outside(path)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise NotRegularError(
            f"{where} is not a regular file", hint=f"look at it with: ls -l {shlex.quote(where)}"
        )
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    status = root.lstat(path)
    return status is not None and os.path.samestat(status, os.fstat(fd))


def _opened(root: Root, path: str) -> int:
    # flock(2) asks for no right to write, so an existing lock serves on a read-only file system,
    # too.
    with root.parent(path) as (directory, name):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            return os.open(name, flags, dir_fd=directory)
        return os.open(name, flags | os.O_CREAT, 0o600, dir_fd=directory)


def _holder(root: Root) -> str:
    """The pid and command of the process that locked the file, where they can be had."""
    return str(holders.holder(root, LOCK) or holders.flocked(root, LOCK))
