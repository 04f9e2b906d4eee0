"""What makes GRUB, which replays no journal, see what was written: by the type of the file system."""

import errno
import fcntl
import os
import struct
from contextlib import suppress

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import libc
from guest_hooks.machine.failures import told, uninterrupted
from guest_hooks.machine.freeze import Failpoint, freeze_and_thaw, no_failpoint
from guest_hooks.machine.root import Root
from guest_hooks.model import Problem, Severity

# linux/magic.h
EXT = 0xEF53
XFS = 0x58465342
BTRFS = 0x9123683E
MSDOS = 0x4D44

EXT4_IOC_CHECKPOINT = 0x4004662B  # linux/ext4.h, since Linux 5.14
_NOT_KNOWN = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS)
_REFUSED = (errno.EPERM, errno.EACCES)


def barrier(root: Root, path: str, *, timeout: float = 30.0, failpoint: Failpoint = no_failpoint) -> Problem | None:
    """Bring the file system that holds `path` to where GRUB reads it as it is now; None where that is sure.

    A warning is returned where the file system has no way to do so, or the right to it is refused. `timeout` (seconds) bounds the
    wait for someone else's freeze; `failpoint` is handed to `freeze_and_thaw`. Raises `GuestHooksError` where the disk fails.
    """
    with told(root, path, "brought to the disk"):
        fd = uninterrupted(lambda: open_directory(root, path))
        try:
            libc.syncfs(fd)
            return _settle(root, path, fd, timeout, failpoint)
        finally:
            os.close(fd)


def open_directory(root: Root, path: str) -> int:
    """A readable descriptor of the directory `path`, or of the nearest one above it; the caller closes it."""
    directory = _nearest(root, path)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)


def _nearest(root: Root, path: str) -> int:
    while path.strip("/"):
        with suppress(NotADirectoryError, FileNotFoundError):
            return root.open_dir(path)
        path = os.path.dirname(path.rstrip("/"))
    return root.open_dir("/")


def _settle(root: Root, path: str, fd: int, timeout: float, failpoint: Failpoint) -> Problem | None:
    magic = libc.fs_magic(fd)
    if magic in (BTRFS, MSDOS):  # btrfs commits on syncfs; FAT has no journal
        return None
    if magic == EXT:
        with suppress(OSError):
            # `syncfs` left the journal's transactions to be written back; this does that without stopping anyone.
            uninterrupted(lambda: fcntl.ioctl(fd, EXT4_IOC_CHECKPOINT, struct.pack("=I", 0)))
            return None
    try:
        freeze_and_thaw(fd, timeout=timeout, failpoint=failpoint)
    except OSError as error:
        return _unsure(root, path, error, magic)
    return None


def _unsure(root: Root, path: str, error: OSError, magic: int) -> Problem:
    where = root.outside(path)
    if error.errno in _NOT_KNOWN:
        return Problem(
            code="barrier-unknown",
            message=f"{where} is written, but nothing is known that makes GRUB see it on this type of file system ({magic:#x})",
            hint="a clean shutdown does",
            severity=Severity.WARNING,
        )
    if error.errno in _REFUSED:
        return Problem(
            code="barrier-refused",
            message=f"{where} is written, but freezing its file system, so that GRUB sees it, is refused: {error.strerror}",
            hint="a clean shutdown or unmount does the same",
            severity=Severity.WARNING,
        )
    if error.errno in (errno.EBUSY, errno.ETIMEDOUT):
        reason = "something else holds it frozen" if error.errno == errno.EBUSY else "writers did not come to rest"
        raise NotRepairedError(
            f"{where} is written, but its file system could not be frozen so that GRUB sees it: {reason}",
            hint=f"when that is over, run it again; if it stays frozen: fsfreeze --unfreeze {os.path.dirname(where)}",
        ) from error
    raise error
