# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes GRUB, which replays no journal, see what was written: by the type of the file system.

Freezing does it everywhere, and stops every writer until every write under way has ended. Any user
can keep one under way, so a file system is frozen only where root alone reaches it.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import libc, reach, xfs_log
from guest_hooks.machine.descriptors import closing, readable
from guest_hooks.machine.failures import told, uninterrupted
from guest_hooks.machine.freeze import freeze_and_thaw
from guest_hooks.machine.root import Root
from guest_hooks.model import Problem
from guest_hooks.problems.runs import RunProblem

# linux/magic.h
EXT = 0xEF53
XFS = 0x58465342
BTRFS = 0x9123683E
MSDOS = 0x4D44
TMPFS = 0x01021994

LATE = RunProblem.BARRIER_LATE
"""The code of the problem that GRUB does not see it yet: nothing that GRUB may still read must
be taken away.
"""
WAIT_SECONDS = 60.0
"""Twice what XFS takes (fs.xfs.xfssyncd_centisecs)."""
FREEZE_SECONDS = 30.0

EXT4_IOC_CHECKPOINT = 0x4004662B  # linux/ext4.h, since Linux 5.14
EXT4_SYNCS = 3
_NOT_KNOWN = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS)
_REFUSED = (errno.EPERM, errno.EACCES)


def barrier(
    root: Root, path: str, *, wait: float = WAIT_SECONDS, timeout: float = FREEZE_SECONDS
) -> Problem | None:
    """Make GRUB see the file system that holds `path` as it is now; returns None where that is
    certain.

    Takes up to `wait` seconds where only time does it: on an XFS that others than root reach.
    `timeout` (seconds) bounds the wait for someone else's freeze. Returns a warning where it is not
    sure: `LATE` after `wait`, others where there is no way to do it, or the right to it is refused.
    Raises `GuestHooksError` where the disk fails.
    """
    with told(root, path, "brought to the disk"), open_directory(root, path) as fd:
        # Others can make it slow, not endless: it writes what is dirty when it is called, and
        # vm.dirty_ratio bounds that.
        libc.syncfs(fd)
        return _settle(root, path, fd, wait, timeout)


def settle(root: Root, path: str) -> Problem | None:
    """As `barrier`, for what must be on the disk before the next step: raises
    `NotRepairedError` where it is late.
    """
    problem = barrier(root, path)
    if problem is not None and is_late(problem):
        raise NotRepairedError(f"nothing was replaced: {problem.message}", hint=problem.hint)
    return problem


def is_late(problem: Problem | None) -> bool:
    """Whether GRUB may still read what was there before."""
    return problem is not None and problem.code == LATE


@contextmanager
def open_directory(root: Root, path: str) -> Iterator[int]:
    """A readable descriptor of the directory `path`, or of the nearest one above it, for the
    block.
    """
    with closing(uninterrupted(lambda: _nearest(root, path))) as directory:
        fd = uninterrupted(lambda: readable(directory))
    with closing(fd):
        yield fd


def _nearest(root: Root, path: str) -> int:
    while path.strip("/"):
        with suppress(NotADirectoryError, FileNotFoundError):
            return root.open_dir(path)
        path = os.path.dirname(path.rstrip("/"))
    return root.open_dir("/")


def _settle(root: Root, path: str, fd: int, wait: float, timeout: float) -> Problem | None:
    magic = libc.fs_magic(fd)
    if magic in (BTRFS, MSDOS):  # btrfs commits on syncfs; FAT has no journal
        return None
    try:
        if magic == EXT and _checkpoint(fd):
            return None
        if magic != TMPFS and reach.is_roots_alone(os.fstat(fd).st_dev):  # it knows no freeze
            freeze_and_thaw(fd, timeout=timeout)
        elif magic == XFS:
            return None if xfs_log.wait_until_in_place(fd, wait) else _late(root, path, wait)
        else:
            # One puts in place all but what a running transaction has taken up again: it is
            # unlikely, and can't be ruled out.
            for _ in range(EXT4_SYNCS if magic == EXT else 0):
                libc.syncfs(fd)
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    except OSError as error:
        return _unsure(root, path, error, magic)
    return None


def _checkpoint(fd: int) -> bool:
    """Have ext4 put in place what `syncfs` left in its journal, which stops nobody; False where
    the kernel does not know how.
    """
    try:
        uninterrupted(lambda: fcntl.ioctl(fd, EXT4_IOC_CHECKPOINT, struct.pack("=I", 0)))
    except OSError as error:
        if error.errno in _NOT_KNOWN:
            return error.errno == errno.ENODEV  # it has no journal
        raise
    return True


def _late(root: Root, path: str, wait: float) -> Problem:
    return Problem.of(
        LATE,
        f"{root.outside(path)} is written, but after {wait:g} s XFS has it only in its log,"
        " which GRUB does not read: until it is in place GRUB finds what was there before,"
        " which is whole",
    )


def _unsure(root: Root, path: str, error: OSError, magic: int) -> Problem:
    where = root.outside(path)
    if error.errno in _NOT_KNOWN or isinstance(error, FileNotFoundError):
        return Problem.of(
            RunProblem.BARRIER_UNKNOWN,
            f"{where} is written, but nothing is known that makes GRUB see it on this file"
            f" system (type {magic:#x})",
        )
    if error.errno in _REFUSED:
        return Problem.of(
            RunProblem.BARRIER_REFUSED,
            f"{where} is written, but having its file system put it where GRUB sees it is"
            f" refused: {error.strerror}",
        )
    if error.errno in (errno.EBUSY, errno.ETIMEDOUT):
        reason = (
            "something else holds it frozen"
            if error.errno == errno.EBUSY
            else "programs kept writing to it"
        )
        raise NotRepairedError(
            f"{where} is written, but its file system could not be frozen so that GRUB sees it:"
            f" {reason}",
            hint=(
                "when that is over, run it again; if it stays frozen: fsfreeze --unfreeze"
                f" {os.path.dirname(where)}"
            ),
        ) from error
    raise error
