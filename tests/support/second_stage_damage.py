# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the bytes of a second stage, each done to one that `second_stages`
made.
"""

import struct
from collections.abc import Callable

from tests.support import second_stages as build
from tests.support.second_stages import LOAD_KERNEL, LOAD_MODS, NOTE

Damage = Callable[[bytes], bytes]


def segment(index: int, **fields: int) -> Damage:
    return lambda image: build.with_segment(image, index, **fields)


def header(**fields: int) -> Damage:
    return lambda image: build.with_header(image, **fields)


def note(number: int, value: bytes) -> Damage:
    return lambda image: build.with_note(image, number, value)


def lacking(number: int) -> Damage:
    return lambda image: build.without_note(image, number)


def extra(*raw: bytes) -> Damage:
    """With more notes, before the others where one of them runs past the end."""
    return lambda image: build.with_notes(image, b"".join((*raw, build.notes(image))))


def block(at: int, new: bytes) -> Damage:
    """With other bytes at an offset of the module block."""
    return lambda image: build.put(image, build.block_at(image) + at, new)


def in_object(kind: int, at: int, new: bytes) -> Damage:
    return lambda image: build.put(image, build.object_at(image, kind) + at, new)


def as_kind(kind: int, other: int) -> Damage:
    return lambda image: build.put(image, build.object_at(image, kind), struct.pack("<I", other))


def zeroed(start: int, size: int) -> Damage:
    return lambda image: build.put(
        image, build.segment(image, LOAD_KERNEL)["offset"] + start, bytes(size)
    )


def cut(image: bytes) -> bytes:
    return image[: len(image) // 2]


def kernel_to_zero(image: bytes) -> bytes:
    return zeroed(0, build.segment(image, LOAD_KERNEL)["filesz"])(image)


def shifted_mods(image: bytes) -> bytes:
    where = build.segment(image, LOAD_MODS)
    return build.with_segment(
        image, LOAD_MODS, vaddr=where["vaddr"] + 64, paddr=where["paddr"] + 64
    )


def filesz_over_memsz(image: bytes) -> bytes:
    return build.with_segment(
        image, LOAD_KERNEL, memsz=build.segment(image, LOAD_KERNEL)["filesz"] - 1
    )


def twice_the_same_module(image: bytes) -> bytes:
    """The block with its first module once more in the place of its last object."""
    objects = build.objects(image)
    (first, _, size), (last, _, _) = objects[0], objects[-1]
    notes = image[build.segment(image, NOTE)["offset"] :]
    body = image[:last] + image[first : first + size]
    start = build.block_at(image)
    filesz = len(body) - start
    if build.elf_class(image) == 32:
        body = build.put(body, start, struct.pack("<III", 0x676D696D, 12, filesz))
    else:
        body = build.put(body, start, struct.pack("<IIQQ", 0x676D696D, 0, 24, filesz))
    moved = build.with_segment(body + notes, NOTE, offset=len(body))
    return build.with_segment(moved, LOAD_MODS, filesz=filesz, memsz=filesz)


def with_shnote(image: bytes) -> bytes:
    """The notes out of reach of PT_NOTE, in a section of type SHT_NOTE."""
    return build.with_segment(image, NOTE, type=0x6474E553)


def split_over_two_segments(image: bytes) -> bytes:
    """GNU_STACK turned into a second PT_NOTE, the notes shared out between the two."""
    raw = build.split_notes(image)
    offset, first = build.segment(image, NOTE)["offset"], len(raw[0][1])
    image = build.with_segment(image, build.GNU_STACK, type=4, offset=offset, filesz=first)
    return build.with_segment(
        image, NOTE, offset=offset + first, filesz=sum(len(part) for _, part in raw[1:])
    )


def as_section(image: bytes) -> bytes:
    """The notes announced by a section of type SHT_NOTE alone."""
    table = build.header(image)
    at = table["shoff"] + (table["shnum"] - 1) * table["shentsize"] + 4
    return build.with_segment(build.put(image, at, struct.pack("<I", 7)), NOTE, type=0x6474E553)
