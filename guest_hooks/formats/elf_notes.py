# SPDX-License-Identifier: GPL-3.0-or-later
"""The notes of an ELF file, whoever's they are (elf(5), "Notes"). What a note means, and which one
is refused, is for who reads them.
"""

import struct
from collections.abc import Iterator

from guest_hooks.records import dataclass

_HEADER = {order: struct.Struct(f"{order}III") for order in "<>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfNote:
    """One note as it stands at the offset `at`: `name` and `value` as far as they lie inside, the
    sizes that its header claims, and where the next note begins.
    """

    at: int
    name: bytes
    name_size: int
    type: int
    value: bytes
    size: int
    next: int
    has_room_for_name: bool

    @property
    def is_whole(self) -> bool:
        """Whether all of it lies inside."""
        return self.has_room_for_name and len(self.value) == self.size


def split(data: bytes, start: int, end: int, *, order: str = "<") -> Iterator[ElfNote]:
    """The notes of `data[start:end]`, with numbers in the byte order `order` of `struct`.

    A rest that is too short for a note's header is left out.
    """
    header = _HEADER[order]
    at = start
    while at + header.size <= end:
        name_size, size, kind = header.unpack_from(data, at)
        name_at = at + header.size
        value_at = name_at + _padded(name_size)
        after = value_at + _padded(size)
        yield ElfNote(
            at=at,
            name=data[name_at : min(name_at + name_size, end)],
            name_size=name_size,
            type=kind,
            value=data[value_at : min(value_at + size, end)],
            size=size,
            next=after,
            has_room_for_name=value_at <= end,
        )
        at = after


def _padded(size: int) -> int:
    return (size + 3) & ~3
