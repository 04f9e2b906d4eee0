# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock on a file, asked of the kernel for that file alone. Nothing is locked to
find out: that could make others fail.

/proc/locks lists the locks of every user, who may hold as many as they like, and reading it takes a
time that grows with the square of their number; nor does it tell one file system of btrfs from
another. So it decides nothing, and only its first pages are searched, for a name to show.
"""

import fcntl
import os
import struct
from contextlib import suppress

from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass

_FLOCK = "hhqqi0q"
"""struct flock with 64-bit offsets, as this machine's C compiler aligns it: type, whence,
start, length, pid (fcntl_locking(2)).
"""
TABLE = "/proc/locks"
MOST_TABLE = 16
"""Pages of the table that are looked at for a name."""
MOST_COMMAND = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process with a lock; `pid` is 0 where the kernel does not say, and `command` empty
    where it can't be read.
    """

    pid: int = 0
    command: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")


def holder(root: Root, path: str) -> Holder | None:
    """Who holds an fcntl lock on `path`; None where nobody does, or the file is not there or
    can't be opened.
    """
    with suppress(OSError), root.parent(path) as (directory, name):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with closing(os.open(name, flags, dir_fd=directory)) as fd:
            return of(fd)
    return None


def of(fd: int) -> Holder | None:
    """Who holds an fcntl lock that would keep a whole-file write lock from `fd`'s file; raises
    `OSError`.
    """
    # The kernel names the first lock in the way, whatever `fd` was opened for; it wants a pid of 0
    # (fs/locks.c, fcntl_getlk).
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return None
    return Holder(pid=max(pid, 0), command=_command(pid) if pid > 0 else "")


def flocked(root: Root, path: str) -> Holder:
    """Who holds a flock on `path`, for a message: another program's, which leaves no name, is
    found only in a short table.
    """
    status = root.lstat(path)
    if status is None:
        return Holder()
    with suppress(OSError), open(TABLE, "rb", buffering=0) as table:
        text = b"".join(table.read(4096) for _ in range(MOST_TABLE)).decode(errors="replace")
        pid = _flocker(text, status.st_dev, status.st_ino)
        return Holder(pid=pid, command=_command(pid) if pid else "")
    return Holder()


def _flocker(text: str, device: int, inode: int) -> int:
    """The pid in the line "1: FLOCK  ADVISORY  WRITE 1234 fd:00:5678 0 EOF" of a file
    (proc_locks(5)); 0 where there is none.
    """
    where = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in text.splitlines():
        fields = line.split()
        if (
            len(fields) > 5
            and fields[1] == "FLOCK"
            and fields[5] == where
            and fields[4].isdecimal()
        ):
            return int(fields[4])
    return 0


def leave_name(fd: int) -> None:
    """Put a shared fcntl lock of this process on the file of `fd`, so that others find its pid;
    that it can't be had stops nothing.

    It is a name and no lock: it goes with the first descriptor of that file which this process
    closes.
    """
    with suppress(OSError):
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _command(pid: int) -> str:
    words = (Root().read_text(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()
    return "".join(c if c.isprintable() else "?" for c in words)[:MOST_COMMAND]
