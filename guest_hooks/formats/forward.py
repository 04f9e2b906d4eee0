# SPDX-License-Identifier: GPL-3.0-or-later
"""A compressed vmlinux as it is unpacked: read onward, with no more than one chunk kept."""

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import unpack
from guest_hooks.problems.images import FileProblem, ImageProblem


class Forward:
    """A stream that can only be read onward, of which no more than one chunk is kept."""

    def __init__(self, stream: unpack.Stream) -> None:
        self._chunks = iter(stream)
        self._kept = bytearray()
        self._start = 0

    def take(self, at: int, size: int) -> bytes:
        """`size` bytes from `at` on, which is not before where an earlier call began."""
        if at < self._start:
            raise CodedFormatError(
                ImageProblem.NOT_ELF,
                "the headers and notes of the vmlinux are not in ascending order",
            )
        while self._start + len(self._kept) < at + size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise CodedFormatError(FileProblem.CORRUPT, "the vmlinux ends before its notes")
            self._kept += chunk
            drop = min(max(at - self._start, 0), len(self._kept))
            del self._kept[:drop]
            self._start += drop
        return bytes(self._kept[at - self._start : at - self._start + size])

    def drain(self) -> None:
        """Unpack the rest, which shows whether it is whole."""
        for _ in self._chunks:
            pass
