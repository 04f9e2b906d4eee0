# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a directory with all that is in it, however deep: neither descriptors nor stack grow
with the depth.
"""

import errno
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_Identity = tuple[int, int]


def remove_all(directory: int, name: str) -> None:
    """Remove `name` in the open `directory`, whatever it is; raises `OSError`, as where another
    file system is mounted in it.
    """
    device = os.fstat(directory).st_dev
    if not _is_directory(directory, name, device):
        os.unlink(name, dir_fd=directory)
        return
    here = os.dup(directory)
    above: list[tuple[str, _Identity]] = []
    left = [[name]]
    try:
        while left:
            if left[-1]:
                below = left[-1].pop()
                if not _is_directory(here, below, device):
                    os.unlink(below, dir_fd=here)
                    continue
                above.append((below, _identity(here)))
                here = _moved(here, os.open(below, _DIRECTORY, dir_fd=here))
                left.append(os.listdir(here))
                continue
            left.pop()
            if above:
                below, identity = above.pop()
                here = _moved(here, os.open("..", _DIRECTORY, dir_fd=here))
                if _identity(here) != identity:
                    raise OSError(errno.ESTALE, "it was moved while it was being removed", below)
                os.rmdir(below, dir_fd=here)
    finally:
        os.close(here)


def _is_directory(directory: int, name: str, device: int) -> bool:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode) and status.st_dev != device:
        raise OSError(errno.EXDEV, "another file system is mounted there", name)
    return stat.S_ISDIR(status.st_mode)


def _moved(here: int, there: int) -> int:
    os.close(here)
    return there


def _identity(directory: int) -> _Identity:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
