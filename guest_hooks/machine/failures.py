"""What an `OSError` means to the one who reads the message: the thing, the cause, the next step."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from guest_hooks.errors import GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine.root import Root

T = TypeVar("T")
MOST_INTERRUPTIONS = 100

_LACKING = {
    errno.EROFS: "mount its file system for writing",
    errno.EACCES: "run as root",
    errno.EPERM: "run as root; an attribute may forbid it, too: lsattr -d",
}
_HINTS = {
    errno.EIO: "look at the kernel's messages: dmesg",
    errno.EEXIST: "a link that leads nowhere, or a file, may stand there: ls -ld {where}",
    errno.ENOTDIR: "a file stands where a directory should be: ls -ld {where}",
    errno.ELOOP: "links lead to each other: ls -ld {where}",
}


@contextmanager
def told(root: Root, path: str, done: str, *, need: int = 0) -> Iterator[None]:
    """Turn an `OSError` of the block into an error that says `path` could not be `done`; `need` is the bytes it asked for.

    No space, no quota, no right and a read-only file system are `LackingError`; all else is `NotRepairedError`.
    """
    try:
        yield
    except OSError as error:
        raise _explained(error, root, path, done, need) from error


@contextmanager
def looked_at(root: Root) -> Iterator[None]:
    """Turn a refusal of the block, which only looks, into a `LackingError` that names what may not be looked at."""
    try:
        yield
    except PermissionError as error:
        raise _explained(error, root, str(error.filename or "/"), "looked at", 0) from error


def uninterrupted(operation: Callable[[], T]) -> T:
    """What `operation` returns, begun again where a signal cut one of its system calls short; it must bear that."""
    for _ in range(MOST_INTERRUPTIONS):
        with suppress(InterruptedError):
            return operation()
    return operation()


def _explained(error: OSError, root: Root, path: str, done: str, need: int) -> GuestHooksError:
    where = root.outside(path)
    message = f"{where} could not be {done}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        space = _space(root, path)
        have = "" if space is None else f"; it needs {need} bytes, {space[0]} bytes and {space[1]} inodes are free"
        return LackingError(message + have, hint=f"make room: df {os.path.dirname(where)}")
    if error.errno in _LACKING:
        return LackingError(message, hint=_LACKING[error.errno])
    return NotRepairedError(message, hint=_HINTS.get(error.errno or 0, "").format(where=where))


def _space(root: Root, path: str) -> tuple[int, int] | None:
    with suppress(OSError), root.parent(path) as (directory, _):
        status = os.fstatvfs(directory)
        return status.f_bavail * status.f_frsize, status.f_ffree
    return None
