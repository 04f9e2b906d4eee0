# SPDX-License-Identifier: GPL-3.0-or-later
"""A mounted file system, frozen as a snapshot tool does, and whether it takes a write."""

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

from guest_hooks.machine.freeze import FIFREEZE, FITHAW


def freeze(top: Path) -> None:
    """Freeze the file system at `top`, as a snapshot tool would."""
    _ioctl(top, FIFREEZE)


def thaw(top: Path) -> bool:
    """Thaw the file system at `top`; whether it was frozen."""
    try:
        _ioctl(top, FITHAW)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return False
    return True


def is_writable(top: Path, *, seconds: float = 1.0) -> bool:
    """Whether a file can be written at `top` within `seconds`; a writer that hangs is left to
    the thaw.
    """
    pid = os.fork()
    if pid == 0:
        try:
            with (top / "is-writable").open("wb", buffering=0) as file:
                file.write(b"x")
            os._exit(0)
        finally:
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return False


def _ioctl(top: Path, request: int) -> None:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, request, 0)
    finally:
        os.close(fd)
