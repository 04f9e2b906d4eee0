# SPDX-License-Identifier: GPL-3.0-or-later
"""File descriptors, closed with the block that uses them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """`fd`, which is closed at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def readable(directory: int) -> int:
    """A descriptor by which an open directory can be listed and synced, which one of O_PATH can't;
    the caller closes it.
    """
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
