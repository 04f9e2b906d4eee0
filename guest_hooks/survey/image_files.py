# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspecting files of this machine."""

import os
import stat

from guest_hooks.errors import UsageError
from guest_hooks.formats import inspection
from guest_hooks.formats.inspection import Inspection
from guest_hooks.sizes import MAX_READ, size


def inspect(path: str) -> Inspection:
    """What the file `path` of this process is; raises `UsageError` where it is not a plain file
    that can be read.
    """
    return inspection.inspect(path, _read(path))


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} is not a regular file")
            if status.st_size > MAX_READ:
                raise UsageError(
                    f"{path} has {size(status.st_size)}, more than {size(MAX_READ)}: no second"
                    " stage or kernel has"
                )
            return file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
