# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and initrds to order: small ones with real headers, packed by the real tools."""

import functools
import random
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from guest_hooks.errors import FormatError
from guest_hooks.formats import bzimage as bzimage_format

LINUX_NOTES: Mapping[int, bytes] = {
    6: b"linux\0",
    5: b"xen-3.0\0",
    3: struct.pack("<Q", 0xFFFFFFFF80000000),
    1: struct.pack("<Q", 0xFFFFFFFF81000100),
    9: b"yes\0",
    8: b"generic\0",
    4: struct.pack("<Q", 0),
    18: struct.pack("<Q", 0x1000100),
}
"""What Debian's 6.1 and 6.12 kernels say of themselves, as far as a loader asks; they have no
HYPERCALL_PAGE.
"""

PAE_NOTES: Mapping[int, bytes] = {
    6: b"linux\0",
    7: b"2.6\0",
    5: b"xen-3.0\0",
    3: struct.pack("<I", 0xC0000000),
    10: b"!writable_page_tables|pae_pgdir_above_4gb\0",
    17: struct.pack("<I", 0x8801),
    9: b"yes\0",
    8: b"generic\0",
    4: struct.pack("<I", 0),
    18: struct.pack("<I", 0x1000320),
}
"""The same of bookworm's 686-pae kernel (6.1.0-50): Linux 5.9 took the 32-bit PV guest away, and
with that ENTRY.
"""

PACKERS = {
    "gzip": ["gzip", "-9c"],
    "bzip2": ["bzip2", "-c"],
    "lzma": ["xz", "--format=lzma", "-c"],
    "xz": ["xz", "--check=crc32", "--x86", "--lzma2=dict=1MiB", "-c"],
    "lzo": ["lzop", "-9c"],
    "lz4": ["lz4", "-lc"],
    "zstd": ["zstd", "-19", "-c"],
}
"""How Linux's build packs its payload (scripts/Makefile.lib)."""


@functools.lru_cache(maxsize=64)
def pack(data: bytes, compression: str) -> bytes:
    """`data` as the real tool packs it; `none` gives it back."""
    if compression == "none":
        return data
    program, *arguments = PACKERS[compression]
    path = shutil.which(program)
    assert path, f"{program} is not installed"
    return subprocess.run([path, *arguments], input=data, capture_output=True, check=True).stdout


def note(owner: bytes, kind: int, value: bytes) -> bytes:
    name = owner + b"\0"
    return (
        struct.pack("<III", len(name), len(value), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + value.ljust(-(-len(value) // 4) * 4, b"\0")
    )


def vmlinux(
    *,
    notes: Mapping[int, bytes] = LINUX_NOTES,
    release: str = "6.1.0-99-amd64",
    text_size: int = 300_000,
    bits: int = 64,
) -> bytes:
    """A vmlinux with code that does nothing and these Xen notes, which lie behind the code as
    they do in Linux.
    """
    table = b"".join(note(b"Xen", kind, value) for kind, value in notes.items()) + note(
        b"Linux", 256, release.encode() + b"\0"
    )
    text_at = 0x1000
    note_at = text_at + text_size
    text = random.Random(0).randbytes(1 << 16)  # noqa: S311 - the same every time
    text = (text * (text_size // (1 << 16) + 1))[:text_size]
    total = text_size + len(table)
    if bits == 64:
        head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH", 2, 62, 1, 0x1000100, 64, 0, 0, 64, 56, 2, 0, 0, 0
        )
        head += struct.pack(
            "<IIQQQQQQ", 1, 5, text_at, 0xFFFFFFFF81000000, 0x1000000, total, total, 0x1000
        )
        head += struct.pack("<IIQQQQQQ", 4, 4, note_at, 0, 0, len(table), len(table), 4)
    else:
        head = b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + struct.pack(
            "<HHIIIIIHHHHHH", 2, 3, 1, 0x1000100, 52, 0, 0, 52, 32, 2, 0, 0, 0
        )
        head += struct.pack("<IIIIIIII", 1, text_at, 0xC1000000, 0x1000000, total, total, 5, 0x1000)
        head += struct.pack("<IIIIIIII", 4, note_at, 0, 0, len(table), len(table), 4, 4)
    return head.ljust(text_at, b"\0") + text + table


def bzimage(
    elf: bytes | None = None,
    compression: str = "xz",
    *,
    release: str = "6.1.0-99-amd64",
    protocol: int = 0x20F,
    loads_high: bool = True,
) -> bytes:
    """A bzImage around `elf`, laid out as Linux's build does it."""
    elf = vmlinux(release=release) if elf is None else elf
    payload = pack(elf, compression)
    if compression not in ("none", "gzip"):
        payload += struct.pack("<I", len(elf))
    setup_sectors, payload_offset = 4, 0x2CC
    version = f"{release} (debian-kernel@lists.debian.org) #1 SMP\0".encode()
    body = (b"\x90" * payload_offset + payload).ljust(
        -(-(payload_offset + len(payload)) // 16) * 16, b"\0"
    )
    setup = bytearray((setup_sectors + 1) * 512)
    setup[0x1F1] = setup_sectors
    struct.pack_into("<I", setup, 0x1F4, len(body) // 16)
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x200:0x202] = b"\xeb\x66"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<H", setup, 0x20E, 0x300)
    setup[0x211] = int(loads_high)
    struct.pack_into("<H", setup, 0x236, 0x7F if elf[4] == 2 else 0)
    struct.pack_into("<II", setup, 0x248, payload_offset, len(payload))
    setup[0x500 : 0x500 + len(version)] = version
    return bytes(setup) + body


def cpio(files: Mapping[str, bytes]) -> bytes:
    """A newc archive of `files`, made by cpio's own rules (Linux: buffer-format.rst)."""
    out = bytearray()
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")]):
        encoded = name.encode() + b"\0"
        fields = (number, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        out += b"070701" + "".join(f"{field:08x}" for field in fields).encode() + encoded
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def initrd(
    release: str = "6.1.0-99-amd64",
    modules: tuple[str, ...] = ("xen-blkfront", "ext4"),
    compression: str = "zstd",
) -> bytes:
    """An initrd as initramfs-tools lays it out: an early archive, then the packed one."""
    directory = f"usr/lib/modules/{release}/kernel"
    files = {f"{directory}/{name}.ko": b"\x7fELF" + name.encode() * 50 for name in modules}
    early = cpio({"kernel/x86/microcode/GenuineIntel.bin": b"\1" * 700})
    early += b"\0" * (-len(early) % 512)
    return early + pack(
        cpio({"init": b"#!/bin/sh\n", "usr/bin/lvm": b"x", "scripts/local": b"", **files}),
        compression,
    )


def debian_kernel(tree: Path) -> Path:
    """The kernel image that Debian's own package left in `tree`."""
    return next(path for path in sorted((tree / "boot").glob("vmlinuz-*")))


def pv_fault(copy: bytes) -> str:
    """Why a copy of a kernel can't be started as PV, all of it unpacked; empty where it can."""
    try:
        image = bzimage_format.parse(copy)
        notes = bzimage_format.notes(copy, image, to_the_end=True)
    except FormatError as error:
        return error.message
    is_packed = image.format is bzimage_format.ImageFormat.PACKED_ELF
    return "" if is_packed and notes.value("ENTRY") else "it is no packed vmlinux"
