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
    import fusepy as fuse  # noqa: PLC0415 - the tests themselves don't need it

    class Disk(fuse.Operations):  # type: ignore[misc]
        def __init__(self) -> None:
            self.content = os.open(content, os.O_RDWR)
            self.log = os.open(log, os.O_WRONLY | os.O_APPEND)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:  # noqa: ARG002
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path != f"/{NAME}":
                raise fuse.FuseOSError(errno.ENOENT)
            return {
                "st_mode": stat.S_IFREG | 0o600,
                "st_nlink": 1,
                "st_size": os.fstat(self.content).st_size,
            }

        def open(self, path: str, flags: int) -> int:  # noqa: ARG002
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:  # noqa: ARG002
            return os.pread(self.content, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:  # noqa: ARG002
            os.write(self.log, _RECORD.pack(offset, len(data)) + data)
            return os.pwrite(self.content, data, offset)

        def fsync(self, path: str, datasync: int, fh: int) -> int:  # noqa: ARG002
            os.write(self.log, _RECORD.pack(FLUSH, 0))
            return 0

        def flush(self, path: str, fh: int) -> int:  # noqa: ARG002
            return 0

    fuse.FUSE(
        Disk(), mountpoint, foreground=True, nothreads=True, big_writes=True, max_write=131072
    )


if __name__ == "__main__":
    _serve(*sys.argv[1:])
