# SPDX-License-Identifier: GPL-3.0-or-later
"""Second stages that are made to cost much."""

import struct
from collections.abc import Callable
from pathlib import Path

from tests.support import second_stages

MEGABYTE = 1 << 20
TARGET = "x86_64-xen"


def real(size: int) -> bytes:
    """A core image with as many modules as fit."""
    names = sorted(path.stem for path in Path(f"/usr/lib/grub/{TARGET}").glob("*.mod"))
    return second_stages.core_image(
        TARGET, modules=tuple(names[: max(4, len(names) * size // (3 * MEGABYTE))])
    )


def _image() -> bytes:
    return second_stages.core_image(TARGET)


def _overlapping_notes() -> bytes:
    """63 segments that all hold the same megabyte of notes."""
    image = bytearray(_image())
    notes = second_stages.note(5, b"xen-3.0\0") * (MEGABYTE // 28)
    note = second_stages.segment(bytes(image), second_stages.NOTE)
    at = len(image)
    image += notes
    table = len(image)
    headers = [
        struct.pack("<IIQQQQQQ", *second_stages.segment(bytes(image), n).values()) for n in range(3)
    ]
    fields = note | {"offset": at, "filesz": len(notes)}
    headers += [struct.pack("<IIQQQQQQ", *fields.values())] * 60
    image += b"".join(headers)
    return second_stages.with_header(bytes(image), phoff=table, phnum=len(headers))


def _with_objects(raw: bytes) -> bytes:
    """A core image whose module block holds `raw` objects, and nothing else."""
    image = _image()
    mods = second_stages.segment(image, second_stages.LOAD_MODS)
    head = struct.pack("<I4xQQ", 0x676D696D, 24, 24 + len(raw))
    start, end = mods["offset"], mods["offset"] + mods["filesz"]
    note = second_stages.segment(image, second_stages.NOTE)
    size = 24 + len(raw)
    made = image[:start] + head + raw + image[end:]
    made = second_stages.with_segment(made, second_stages.LOAD_MODS, filesz=size, memsz=size)
    return second_stages.with_segment(
        made, second_stages.NOTE, offset=note["offset"] + size - mods["filesz"]
    )


def _object(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack("<II", kind, 8 + len(body)) + body


FILES: dict[str, Callable[[], bytes]] = {
    "overlapping notes": _overlapping_notes,
    "notes of no length": lambda: second_stages.with_notes(_image(), bytes(MEGABYTE)),
    "empty objects": lambda: _with_objects(_object(7, b"") * (MEGABYTE // 8)),
    "a configuration of blank lines": lambda: _with_objects(_object(2, b"\n" * MEGABYTE + b"\0")),
    "a configuration of spaces": lambda: _with_objects(
        _object(2, b"search.fs_uuid " * 70_000 + b"\0")
    ),
    "a prefix without an end": lambda: _with_objects(_object(3, b"/" * MEGABYTE)),
    "a memdisk of second stages": lambda: _with_objects(_object(1, b"# pvboot-\n" * 100_000)),
    "a memdisk of one line": lambda: _with_objects(_object(1, b"#pvboot-" * 130_000)),
}
