# SPDX-License-Identifier: GPL-3.0-or-later
"""Files whose copy is of one moment, whatever is being written to them: XFS lets a copy share the
data, and no write comes in between.
"""

import fcntl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import images, loops

FICLONERANGE = 0x4020940D
"""_IOW(0x94, 13, struct file_clone_range), linux/fs.h; a length of 0 is all that follows."""


@contextmanager
def volume(directory: Path, size: int) -> Iterator[Path]:
    """A directory on an XFS of `size` bytes, for files of which `clone` makes copies."""
    image, top = directory / "volume.img", directory / "volume"
    top.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    try:
        with loops.attached(image) as device:
            images.tool("mkfs.xfs", "-q", "-m", "reflink=1", device)
            images.tool("mount", device, str(top))
            try:
                yield top
            finally:
                images.tool("umount", str(top))
    finally:
        image.unlink()


def clone(source: Path, target: Path, *, start: int = 0, length: int = 0) -> Path:
    """Make `target`, on the volume of `source`, of all its bytes, or of `length` from `start`."""
    with source.open("rb") as old, target.open("wb") as new:
        size = length or old.seek(0, 2) - start
        new.truncate(size)
        fcntl.ioctl(new, FICLONERANGE, struct.pack("=qQQQ", old.fileno(), start, size, 0))
    return target
