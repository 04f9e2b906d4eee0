# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspecting files of this machine."""

import errno
import os
import shlex
import stat
from collections.abc import Sequence

from guest_hooks.errors import UsageError
from guest_hooks.formats import inspection
from guest_hooks.formats.inspection import Inspection
from guest_hooks.machine.path_errors import naming
from guest_hooks.program import PROGRAM
from guest_hooks.sizes import MAX_READ, size


def inspect(path: str) -> Inspection:
    """What the file `path` of this process is; raises `UsageError` where it is not a plain file
    that can be read.
    """
    return inspection.inspect(path, _read(path), _packages)


def _packages(release: str) -> Sequence[str]:
    from guest_hooks.machine import dpkg  # noqa: PLC0415 - of a damaged kernel alone
    from guest_hooks.machine.root import Root  # noqa: PLC0415 - as above

    return dpkg.kernel_packages(Root(), release)


def _read(path: str) -> bytes:
    try:
        with naming(path), open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(
                    f"{path} is not a regular file", hint=_step_for(path, status.st_mode)
                )
            if status.st_size > MAX_READ:
                raise UsageError(
                    f"{path} has {size(status.st_size)}, more than {size(MAX_READ)}: no second"
                    " stage or kernel has",
                    hint="name a second stage or kernel; find one with: ls -l /boot",
                )
            return file.read()
    except OSError as error:
        name = path or "a file without a name"
        raise UsageError(f"{name}: {error.strerror}", hint=_step_after(error, path)) from error


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever writes into a fifo."""
    return os.open(path, flags | os.O_NONBLOCK)


def _step_for(path: str, mode: int) -> str:
    """What to name in place of a directory, a disk, or what is read once."""
    if stat.S_ISDIR(mode):
        return f"name a file in it: ls -l {shlex.quote(path)}"
    if stat.S_ISBLK(mode):
        return "mount the disk's file system, and name a file on it"
    return "save what it gives to a file, and name that file"


def _step_after(error: OSError, path: str) -> str:
    if isinstance(error, IsADirectoryError):
        return _step_for(path, stat.S_IFDIR)
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return f"sudo {PROGRAM} inspect {shlex.quote(path)}"
    if error.errno == errno.ENXIO:  # a socket, or a device that nothing drives
        return _step_for(path, stat.S_IFSOCK)
    if error.errno == errno.EIO:
        return "see what the kernel says of the disk: dmesg"
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return f"see what is there: ls -l {shlex.quote(directory)}"
