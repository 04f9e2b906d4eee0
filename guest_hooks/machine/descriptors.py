# SPDX-License-Identifier: GPL-3.0-or-later
"""File descriptors, closed with the block that uses them."""

import os


class closing:  # noqa: N801 - a word before a block; `contextmanager` would take four times as long
    """`fd`, which is closed at the end of the block."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def readable(directory: int) -> int:
    """A descriptor by which an open directory can be listed and synced, which one of O_PATH can't;
    the caller closes it.
    """
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
