# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of what is compressed, as a bounded stream.

gzip, bzip2, LZMA and xz are Python's own; zstd, LZ4 and LZO need a library that may be missing,
which is no fault of the bytes.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats.compression import Compression, LibraryMissingError, UnreasonableError
from guest_hooks.problems.images import FileProblem
from guest_hooks.records import dataclass

CHUNK = 1 << 20
"""Bytes: the most that one step of a stream gives."""
LZ4_LEGACY_BLOCK = 8 << 20  # lz4: doc/lz4_Frame_format.md, "Legacy frame"
LZ4_LARGEST = LZ4_LEGACY_BLOCK + LZ4_LEGACY_BLOCK // 255 + 16  # lz4.h: LZ4_COMPRESSBOUND
LZO_MAX_BLOCK = 64 << 20  # lzop's own limit of a block
# lzop: conf.h, F_ADLER32_D | F_CRC32_D and F_ADLER32_C | F_CRC32_C
_LZO_CONTENT_SUMS, _LZO_PACKED_SUMS = 0x101, 0x202
ZSTD_MAX_WINDOW = 128 << 20  # what the kernel's build and zstd without --ultra can ask for
ZSTD_FEW_BLOCKS, ZSTD_SMALL_BLOCK = 1024, 64
"""A block holds 128 KiB where it is not the last, which no compressor packs into less than some
ten bytes.
"""
XZ_MEMORY = 192 << 20
"""Bytes a dictionary may take: linux/scripts/xz_wrap.sh asks for up to 128 MiB, `xz -9` for 64."""
RATIO, SLACK = 16, 4 << 20
"""How many bytes the content may have for each packed byte, and beyond that. Debian's kernels
and initrds have 2 to 6.
"""
LEAST_BLOCK = 64 << 10
"""Bytes that any block counts for: a block costs time, however little is in it."""
FIRST_PIECE = 32 << 10


_NO_MEMORY = ("Memory usage limit exceeded",)
"""LZMA_MEMLIMIT_ERROR, as Python raises it: no exception has a code (cpython:
Modules/_lzmamodule.c, catch_lzma_error).
"""


@dataclass(slots=True)
class Stream:
    """The content of one compressed member, chunk by chunk; `end` is where the member ends,
    known once all of it was read.
    """

    chunks: Iterator[bytes]
    end: int = -1

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


def stream(data: memoryview, compression: Compression) -> Stream:
    """The content of the member that `data` begins with; what follows the member is left alone.

    Chunks are at most `CHUNK` bytes (one block of LZ4 or LZO where those are larger). While it is
    read it raises `FormatError`: `LibraryMissingError`, `UnreasonableError`, or the code `corrupt`
    where the member is damaged or ends early.
    """
    result = Stream(iter(()))
    match compression:
        case Compression.GZIP:
            result.chunks = _zlib(data, result)
        case Compression.BZIP2:
            import bz2  # noqa: PLC0415 - a library of its own, and rare

            result.chunks = _standard(data, result, bz2.BZ2Decompressor(), compression)
        case Compression.LZMA | Compression.XZ:
            import lzma  # noqa: PLC0415 - as bz2

            kind = lzma.FORMAT_XZ if compression is Compression.XZ else lzma.FORMAT_ALONE
            unpacker = lzma.LZMADecompressor(kind, memlimit=XZ_MEMORY)
            result.chunks = _standard(data, result, unpacker, compression)
        case Compression.LZO:
            result.chunks = _lzop(data, result)
        case Compression.LZ4:
            result.chunks = _lz4(data, result)
        case Compression.ZSTD:
            result.chunks = _zstd(data, result)
        case Compression.NONE:
            result.chunks, result.end = (
                (bytes(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)),
                len(data),
            )
        case Compression.UNKNOWN:
            raise CodedFormatError(
                FileProblem.UNKNOWN_COMPRESSION, f"unknown compression {bytes(data[:6]).hex()}"
            )
    result.chunks = _reasonable(result.chunks, len(data))
    return result


def _reasonable(chunks: Iterator[bytes], packed: int) -> Iterator[bytes]:
    """`chunks`, as long as they are no more than real files of `packed` bytes hold."""
    left = RATIO * packed + SLACK
    for chunk in chunks:
        left -= max(len(chunk), LEAST_BLOCK)
        if left < 0:
            raise UnreasonableError(
                f"its {packed} bytes hold more than {RATIO * packed + SLACK} bytes"
            )
        yield chunk


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def _corrupt(compression: Compression, why: str) -> CodedFormatError:
    return CodedFormatError(FileProblem.CORRUPT, f"{compression} data is damaged: {why}")


def _standard(
    data: memoryview, result: Stream, unpacker: _Decompressor, compression: Compression
) -> Iterator[bytes]:
    import lzma  # noqa: PLC0415 - as above

    at, size = 0, FIRST_PIECE
    try:
        while not unpacker.eof:
            piece = bytes(data[at : at + size]) if unpacker.needs_input else b""
            if unpacker.needs_input and not piece:
                raise _corrupt(compression, "it ends early")
            at, size = at + len(piece), CHUNK
            if chunk := unpacker.decompress(piece, CHUNK):
                yield chunk
    except lzma.LZMAError as error:
        if error.args == _NO_MEMORY:
            raise UnreasonableError(
                f"{compression} data asks for more than {XZ_MEMORY} bytes of memory"
            ) from error
        raise _corrupt(compression, str(error)) from error
    except (OSError, EOFError, ValueError) as error:
        raise _corrupt(compression, str(error)) from error
    result.end = at - len(unpacker.unused_data)


def _zlib(data: memoryview, result: Stream) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(31)
    at, rest, size = 0, b"", FIRST_PIECE
    try:
        while not unpacker.eof:
            if not rest:
                rest = bytes(data[at : at + size])
                at, size = at + len(rest), CHUNK
                if not rest:
                    raise _corrupt(Compression.GZIP, "it ends early")
            chunk = unpacker.decompress(rest, CHUNK)
            rest = unpacker.unconsumed_tail
            if chunk:
                yield chunk
    except zlib.error as error:
        raise _corrupt(Compression.GZIP, str(error)) from error
    result.end = at - len(unpacker.unused_data)


def _zstd(data: memoryview, result: Stream) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415 - optional
    except ImportError as error:
        raise LibraryMissingError(Compression.ZSTD) from error
    end = zstd_frame_end(data)
    unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
    try:
        with unpacker.stream_reader(data[:end]) as reader:
            while chunk := reader.read(CHUNK):
                yield bytes(chunk)
    except zstandard.ZstdError as error:
        raise _corrupt(Compression.ZSTD, str(error)) from error
    result.end = end


def zstd_frame_end(data: memoryview) -> int:
    """Where the zstd frame that `data` begins with ends (RFC 8878, 3.1.1); raises `FormatError`
    where it ends early.
    """
    try:
        descriptor = data[4]
        single_segment, has_checksum = descriptor & 0x20, descriptor & 0x04
        content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
        at = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
        last, blocks = False, 0
        while not last:
            blocks += 1
            if blocks > ZSTD_FEW_BLOCKS + len(data) // ZSTD_SMALL_BLOCK:
                raise UnreasonableError(
                    f"{Compression.ZSTD} data is cut into more than {blocks} blocks"
                )
            header = int.from_bytes((data[at], data[at + 1], data[at + 2]), "little")
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else size)
    except IndexError as error:
        raise _corrupt(Compression.ZSTD, "it ends early") from error
    at += 4 if has_checksum else 0
    if at > len(data):
        raise _corrupt(Compression.ZSTD, "it ends early")
    return at


def _lz4(data: memoryview, result: Stream) -> Iterator[bytes]:
    try:
        import lz4.block as lz4_block  # noqa: PLC0415 - optional
    except ImportError as error:
        raise LibraryMissingError(Compression.LZ4) from error
    at = 4
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        # Another legacy frame, as lz4 -l appends them.
        if bytes(data[at : at + 4]) == b"\x02\x21\x4c\x18":
            at += 4
            continue
        # What follows the last block is no block: padding, or another member.
        if not 0 < size <= LZ4_LARGEST:
            break
        if size > len(data) - at - 4:
            raise _corrupt(Compression.LZ4, "it ends early")
        try:
            yield lz4_block.decompress(
                bytes(data[at + 4 : at + 4 + size]), uncompressed_size=LZ4_LEGACY_BLOCK
            )
        except lz4_block.LZ4BlockError as error:
            raise _corrupt(Compression.LZ4, str(error)) from error
        at += 4 + size
    result.end = at


def _lzop(data: memoryview, result: Stream) -> Iterator[bytes]:
    try:
        import lzo  # noqa: PLC0415 - optional
    except ImportError as error:
        raise LibraryMissingError(Compression.LZO) from error
    unpack: Callable[[bytes, bool, int], bytes] = lzo.decompress
    try:
        flags = _u32(data, 17)
        at = 33 + data[33] + 1 + 4
        while size := _u32(data, at):
            packed, wanted = _u32(data, at + 4), _u32(data, at + 8)
            at += (
                8
                + 4 * bool(flags & _LZO_CONTENT_SUMS)
                + 4 * bool(flags & _LZO_PACKED_SUMS and packed < size)
            )
            if size > LZO_MAX_BLOCK or at + packed > len(data):
                raise _corrupt(Compression.LZO, "it ends early")
            if size > RATIO * packed + SLACK:  # the library makes room for what a block claims
                raise UnreasonableError(f"a block of {packed} bytes holds {size} bytes")
            block = bytes(data[at : at + packed])
            content = block if packed == size else unpack(block, False, size)
            if flags & 1 and zlib.adler32(content) != wanted:
                raise _corrupt(Compression.LZO, "a checksum differs")
            yield content
            at += packed
    except IndexError as error:
        raise _corrupt(Compression.LZO, "it ends early") from error
    except lzo.error as error:
        raise _corrupt(Compression.LZO, str(error)) from error
    result.end = at + 4


def _u32(data: memoryview, at: int) -> int:
    if at + 4 > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + 4], "big")
