# SPDX-License-Identifier: GPL-3.0-or-later
"""Small 32-bit ELF images with one Xen note, for tests that need segments no GRUB tool would
make.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1 << 20
PHYS32_ENTRY = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One LOAD segment: where it goes, its bytes, and how many zeros follow in memory."""

    paddr: int
    data: bytes
    zeros: int = 0


def image(
    loads: Sequence[Load],
    *,
    entry: int,
    note_entry: int | None = None,
    notes: int = 1,
    machine: int = 3,
    type_: int = 2,
) -> bytes:
    """An ELF file of `loads` in this order, with `notes` notes PHYS32_ENTRY (`note_entry`, by
    default `entry`).
    """
    count = len(loads) + 1
    body = bytearray()
    start = 52 + 32 * count
    headers = bytearray()
    for load in loads:
        size = len(load.data)
        headers += struct.pack(
            "<8I", 1, start + len(body), load.paddr, load.paddr, size, size + load.zeros, 7, 4
        )
        body += load.data
    body += bytes(-len(body) % 4)
    value = entry if note_entry is None else note_entry
    note = struct.pack("<III4sI", 4, 4, PHYS32_ENTRY, b"Xen\0", value) * notes
    headers += struct.pack("<8I", 4, start + len(body), 0, 0, len(note), 0, 4, 4)
    ident = b"\x7fELF\1\1\1".ljust(16, b"\0")
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH", type_, machine, 1, entry, 52, 0, 0, 52, 32, count, 40, 0, 0
    )
    return header + bytes(headers) + bytes(body) + note


PLAIN = image(
    [
        Load(paddr=MIB, data=b"\x90" * 5000, zeros=9000),
        Load(paddr=MIB + 14000, data=b"module" * 800),
    ],
    entry=MIB + 16,
)
"""A core image of two segments, as GRUB's has."""
