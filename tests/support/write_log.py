# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that remembers every write and flush it was given, in order, so that a power cut can
be made at each of them.

It is one file of a FUSE file system with a loop device on it: what the kernel sends to the device
arrives here.
"""

import errno
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME = "disk.img"
_RECORD = struct.Struct("=QI")
FLUSH = 0xFFFFFFFFFFFFFFFF
INODE = 2
"""The disk's; the directory's is 1."""
MAX_WRITE = 131072
"""Bytes of one write in the log: of a larger one the device may lose a part."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write; a flush has offset `FLUSH` and no data."""

    offset: int
    data: bytes

    @property
    def is_flush(self) -> bool:
        """Whether this is the end of what may still be lost."""
        return self.offset == FLUSH


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDisk:
    """`image` is the file to attach; `content` holds what it holds now, `log` all that was
    written.
    """

    image: Path
    content: Path
    log: Path

    def mark(self) -> int:
        """A place in the log: everything up to now."""
        return self.log.stat().st_size

    def writes(self, start: int) -> list[Write]:
        """What was written since the mark `start`."""
        found = []
        with self.log.open("rb") as file:
            file.seek(start)
            while header := file.read(_RECORD.size):
                offset, length = _RECORD.unpack(header)
                found.append(Write(offset, file.read(length)))
        return found


@contextmanager
def recorded(directory: Path, size: int) -> Iterator[RecordedDisk]:
    """A recorded disk of `size` bytes under `directory`, for the block."""
    mountpoint, content, log = (
        directory / "recorded",
        directory / "recorded.content",
        directory / "recorded.log",
    )
    mountpoint.mkdir(parents=True)
    with content.open("wb") as file:
        file.truncate(size)
    log.touch()
    server = subprocess.Popen(
        ["/usr/bin/python3", __file__, str(mountpoint), str(content), str(log)]
    )
    try:
        deadline = time.monotonic() + 30
        while not (mountpoint / NAME).exists():
            assert server.poll() is None, "the FUSE server ended"
            assert time.monotonic() < deadline, "the FUSE server did not start"
            time.sleep(0.02)
        yield RecordedDisk(image=mountpoint / NAME, content=content, log=log)
    finally:
        subprocess.run(
            ["umount", "--lazy", str(mountpoint)], capture_output=True, timeout=30, check=False
        )
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _serve(mountpoint: str, content: str, log: str) -> None:
    # The tests themselves need neither.
    import pyfuse3  # noqa: PLC0415
    import trio  # noqa: PLC0415

    disk = os.open(content, os.O_RDWR)
    records = os.open(log, os.O_WRONLY | os.O_APPEND)

    class Disk(pyfuse3.Operations):  # type: ignore[misc]
        async def getattr(self, inode: int, _context: object = None) -> object:
            is_top = inode == pyfuse3.ROOT_INODE
            found = pyfuse3.EntryAttributes()
            found.st_ino = inode
            found.st_mode = stat.S_IFDIR | 0o755 if is_top else stat.S_IFREG | 0o600
            found.st_nlink = 2 if is_top else 1
            found.st_size = 0 if is_top else os.fstat(disk).st_size
            return found

        async def lookup(self, _parent: int, name: bytes, context: object = None) -> object:
            if name != NAME.encode():
                raise pyfuse3.FUSEError(errno.ENOENT)
            return await self.getattr(INODE, context)

        async def open(self, inode: int, _flags: int, _context: object) -> object:
            return pyfuse3.FileInfo(fh=inode)

        async def read(self, _file: int, offset: int, size: int) -> bytes:
            return os.pread(disk, size, offset)

        async def write(self, _file: int, offset: int, data: bytes) -> int:
            for start in range(0, len(data), MAX_WRITE):
                part = data[start : start + MAX_WRITE]
                os.write(records, _RECORD.pack(offset + start, len(part)) + part)
            return os.pwrite(disk, data, offset)

        async def fsync(self, _file: int, _is_data_alone: bool) -> None:
            os.write(records, _RECORD.pack(FLUSH, 0))

        async def flush(self, _file: int) -> None:
            pass

    pyfuse3.init(Disk(), mountpoint, set(pyfuse3.default_options))
    try:
        # One task: what comes first is recorded first.
        trio.run(pyfuse3.main, 1, 1)
    finally:
        pyfuse3.close(unmount=False)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
