# SPDX-License-Identifier: GPL-3.0-or-later
"""What an `OSError` means to the one who reads the message: the thing, the cause, the next step."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from guest_hooks.errors import GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine.path_errors import EXHAUSTED
from guest_hooks.machine.root import Root
from guest_hooks.sizes import size

T = TypeVar("T")
_WRONG_CALLS = (errno.EBADF, errno.EFAULT, errno.ENOTSOCK)
MOST_INTERRUPTIONS = 100

_LACKING = {
    errno.EROFS: "mount its file system for writing",
    errno.EACCES: "run as root",
    errno.EPERM: "an attribute may forbid it: lsattr -d {directory} {where}",
}
_LACKING |= EXHAUSTED
_GONE = "the device behind it does not answer: dmesg; findmnt"
_DAMAGED = "its file system is damaged: dmesg; check it unmounted (fsck, xfs_repair, btrfs check)"
_HINTS = {
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.ESTALE: _GONE,
    errno.EHOSTDOWN: _GONE,
    errno.EUCLEAN: _DAMAGED,
    errno.EBADMSG: _DAMAGED,
    errno.ENAMETOOLONG: "a link's target or a name is longer than Linux takes: ls -ld {where}",
    errno.EOVERFLOW: "see what fills it: ls -U {where} | head",
    errno.EIO: "look at the kernel's messages: dmesg",
    errno.EEXIST: "a link that leads nowhere, or a file, may stand there: ls -ld {where}",
    errno.ENOTDIR: "a file stands where a directory should be: namei -l {where}",
    errno.ELOOP: "links lead to each other: ls -ld {where}",
}


@contextmanager
def told(root: Root, path: str, done: str, *, need: int = 0) -> Iterator[None]:
    """Turn an `OSError` of the block into an error that says `path` could not be `done`; `need`
    is the bytes it asked for.

    No space, no quota, no right and a read-only file system are `LackingError`; all else is
    `NotRepairedError`.
    """
    try:
        yield
    except OSError as error:
        raise _explained(error, root, path, done, need) from error


@contextmanager
def looked_at(root: Root) -> Iterator[None]:
    """Turn what keeps the block from looking at the tree, or from having memory, into an error
    that names what and why.

    A tree can answer any system call with any error, so none of them is an internal error; but for
    those that tell of a wrong call.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None or error.errno in _WRONG_CALLS:
            raise
        raise _explained(error, root, str(error.filename or "/"), "looked at", 0) from error
    except MemoryError as error:
        raise LackingError("there is not enough memory", hint=EXHAUSTED[errno.ENOMEM]) from error


def uninterrupted(operation: Callable[[], T]) -> T:
    """Run `operation` and return its result; where a signal interrupts one of its system calls, it
    is run again from its start.
    """
    for _ in range(MOST_INTERRUPTIONS):
        with suppress(InterruptedError):
            return operation()
    return operation()


def _explained(error: OSError, root: Root, path: str, done: str, need: int) -> GuestHooksError:
    import shlex  # noqa: PLC0415 - for a failure alone

    where = root.outside(path) if path.startswith("/") else path
    words = {"where": shlex.quote(where), "directory": shlex.quote(os.path.dirname(where) or ".")}
    message = f"{where} could not be {done}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        space = _space(root, path)
        have = (
            ""
            if space is None
            else f"; it needs {size(need)}, and {size(space[0])} and {space[1]} inodes are free"
        )
        return LackingError(message + have, hint="make room: df {directory}".format(**words))
    if where.startswith("/proc/") and not os.path.exists("/proc/self"):
        return LackingError(message, hint="mount it: mount -t proc proc /proc")
    if error.errno == errno.EPERM and os.geteuid() != 0:
        return LackingError(message, hint=_LACKING[errno.EACCES])
    if error.errno in _LACKING:
        return LackingError(message, hint=_LACKING[error.errno].format(**words))
    return NotRepairedError(message, hint=_HINTS.get(error.errno or 0, "").format(**words))


def _space(root: Root, path: str) -> tuple[int, int] | None:
    with suppress(OSError), root.parent(path) as (directory, _):
        status = os.fstatvfs(directory)
        return status.f_bavail * status.f_frsize, status.f_ffree
    return None
