# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and initrds that are made to cost much."""

import bz2
import gzip
import lzma
import random
import struct
from collections.abc import Callable

from tests.support import kernels

_ZEROS = 1 << 28


def _random(size: int) -> bytes:
    """Content that packs about as well as real programs do."""
    source = random.Random(0)  # noqa: S311 - the same every time
    return b"".join(source.randbytes(256) + bytes(768) for _ in range(size // 1024 + 1))[:size]


def real_kernel(compression: str) -> Callable[[int], bytes]:
    """What makes a kernel of about this size."""
    return lambda size: kernels.bzimage(kernels.vmlinux() + _random(3 * size), compression)


def real_initrd(compression: str) -> Callable[[int], bytes]:
    """What makes an initrd of about this size."""

    def make(size: int) -> bytes:
        content = _random(3 * size)
        files = {
            f"usr/lib/modules/6.1.0/kernel/m{n}.ko": content[at : at + 20_000]
            for n, at in enumerate(range(0, 3 * size, 20_000))
        }
        return kernels.pack(kernels.cpio(files), compression)

    return make


def _bomb(compression: str, packed: Callable[[], bytes]) -> Callable[[], bytes]:
    """A kernel around a payload that was packed by hand."""

    def make() -> bytes:
        data = kernels.bzimage(kernels.vmlinux() + bytes(1 << 16), compression)
        (offset,) = struct.unpack_from("<I", data, 0x248)
        payload = packed() + bytes(4)
        whole = data[: 2560 + offset] + payload
        patched = bytearray(whole.ljust(-(-len(whole) // 16) * 16, b"\0"))
        struct.pack_into("<II", patched, 0x248, offset, len(payload))
        struct.pack_into("<I", patched, 0x1F4, (len(patched) - 2560) // 16)
        return bytes(patched)

    return make


def _zeros_behind_a_kernel() -> bytes:
    return kernels.vmlinux() + bytes(_ZEROS)


def _names(count: int, length: int) -> bytes:
    """An archive of empty files with long names."""
    out = bytearray()
    for number in range(count):
        name = f"{number:08}".encode().ljust(length - 1, b"x") + b"\0"
        out += b"070701" + b"%08x" % 0 * 11 + b"%08x" % len(name) + b"%08x" % 0 + name
        out += bytes(-len(out) % 4)
    return bytes(out)


def _lzma_dictionary() -> bytes:
    return (
        b"\x5d"
        + struct.pack("<IQ", 0xFFFFFFFF, 1 << 32)
        + lzma.compress(b"", lzma.FORMAT_ALONE)[13:]
        + bytes(1024)
    )


def _lz4_blocks() -> bytes:
    import lz4.block  # noqa: PLC0415 - Debian's, for `make check`

    block: bytes = lz4.block.compress(b"x", store_size=False)
    return b"\x02\x21\x4c\x18" + (struct.pack("<I", len(block)) + block) * 100_000


def _zstd_blocks() -> bytes:
    return b"\x28\xb5\x2f\xfd\x20\x00" + b"\0\0\0" * 400_000 + b"\1\0\0"


def _lzo_blocks() -> bytes:
    head = kernels.pack(b"x" * 100, "lzo")
    start = 33 + head[33] + 5
    return head[:start] + (struct.pack(">III", 64 << 20, 8, 0) + bytes(8)) * 50_000


KERNELS: dict[str, Callable[[], bytes]] = {
    "gzip bomb": _bomb("gzip", lambda: gzip.compress(_zeros_behind_a_kernel(), 1)),
    "xz bomb": _bomb("xz", lambda: lzma.compress(_zeros_behind_a_kernel(), preset=0)),
    "bzip2 bomb": _bomb("bzip2", lambda: bz2.compress(kernels.vmlinux() + bytes(1 << 26), 1)),
    "zstd bomb": _bomb("zstd", lambda: kernels.pack(_zeros_behind_a_kernel(), "zstd")),
    "lzma dictionary": _bomb("lzma", _lzma_dictionary),
    "lz4 blocks of a byte": _bomb("lz4", _lz4_blocks),
    "zstd blocks of nothing": _bomb("zstd", _zstd_blocks),
    "lzo blocks that claim 64 MiB": _bomb("lzo", _lzo_blocks),
}
INITRDS: dict[str, Callable[[], bytes]] = {
    "gzip bomb": lambda: gzip.compress(kernels.cpio({"big": bytes(_ZEROS)}), 1),
    "gzip members of nothing": lambda: gzip.compress(b"") * 60_000,
    "gzip members with an archive": lambda: gzip.compress(kernels.cpio({}), 1) * 15_000,
    "zstd names": lambda: kernels.pack(_names(200_000, 1000), "zstd"),
    "xz names": lambda: lzma.compress(_names(60_000, 4000), preset=0),
    "none names": lambda: _names(10_000, 16),
    "lz4 blocks of a byte": _lz4_blocks,
    "zstd blocks of nothing": _zstd_blocks,
    "lzo blocks that claim 64 MiB": _lzo_blocks,
    "bzip2 bomb": lambda: bz2.compress(kernels.cpio({"big": bytes(1 << 26)}), 1),
    "lzma dictionary": _lzma_dictionary,
    "none archives of nothing": lambda: kernels.cpio({}) * 9000,
    "none zeros between archives": lambda: (kernels.cpio({}) + bytes(4096)) * 250,
}
