# SPDX-License-Identifier: GPL-3.0-or-later
"""How far XFS has put in place what is in its log, and waiting until it has.

XFS writes metadata in place in the background, in the log's order. Only a freeze makes it do so at
once. Otherwise a worker does it every `fs.xfs.xfssyncd_centisecs`, 30 s unless changed. The kernel
says how far it has come: all that was logged before the log's tail is in place
(Documentation/ABI/testing/sysfs-fs-xfs).
"""

import errno
import os
import time

from guest_hooks.machine.descriptors import closing

BLOCK_DEVICES = "/sys/dev/block"
FILE_SYSTEMS = "/sys/fs/xfs"
POLL_SECONDS = 0.1

Position = tuple[int, int]
"""Cycle and block of the log, which compare as the log grows."""


def wait_until_in_place(fd: int, timeout: float) -> bool:
    """Wait up to `timeout` seconds until all that was synced to the XFS of the directory `fd`
    is in place and on the disk.

    Whether it is. Raises `FileNotFoundError` where the kernel's word can't be had, as without /sys.
    """
    log = _log_directory(os.fstat(fd).st_dev)
    wanted = _position(log, "log_head_lsn")
    # The tail never passes the last change: one more, so that those that are waited for are not the
    # last.
    _log_something(fd)
    deadline = time.monotonic() + timeout
    while _position(log, "log_tail_lsn") < wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    # What was written in place may still be in the disk's cache. XFS flushes it before it writes
    # the new tail into the log.
    _log_something(fd)
    return True


def _log_directory(device: int) -> str:
    name = os.path.basename(os.readlink(f"{BLOCK_DEVICES}/{os.major(device)}:{os.minor(device)}"))
    return f"{FILE_SYSTEMS}/{name}/log"


def _position(log: str, what: str) -> Position:
    with open(f"{log}/{what}", encoding="ascii") as file:
        cycle, block = file.read().split(":")
    return int(cycle), int(block)


def _log_something(fd: int) -> None:
    """Have the log written, with a flush of the disk before: by a file without a name, or where
    there is no room, a time.
    """
    try:
        new = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=fd)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        status = os.stat(fd)
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(fd)
        return
    with closing(new):
        os.fsync(new)
