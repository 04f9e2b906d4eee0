# SPDX-License-Identifier: GPL-3.0-or-later
"""The ELF container: header, segments and sections of a file held in memory.

Read with plain structures: pyelftools takes three times as long to be imported as `inspect` to run
(it brings the debugger with it), about 0.1 ms for a header, and takes Xen's notes for GNU's. The
tests compare the two.
"""

import struct
from enum import StrEnum
from functools import lru_cache

from guest_hooks.errors import CodedFormatError
from guest_hooks.problems.images import ImageProblem
from guest_hooks.records import dataclass

MAGIC = b"\x7fELF"
ET_REL, ET_EXEC = 1, 2
PT_LOAD, PT_NOTE = 1, 4
PF_X, PF_W = 1, 2
SHT_NOTE, SHT_NOBITS = 7, 8

MAX_SEGMENTS = 64
MAX_SECTIONS = 256
"""More headers than any boot image has; a bound on the time a hostile file can cost."""
RECENT = 8
"""Files: a second stage and a kernel.img for each target, and what was built."""

# elf.h, behind e_ident: e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_phentsize,
# e_phnum, e_shentsize, e_shnum; then a program header, whose p_flags stands elsewhere in the other
# class; of a section header sh_type, sh_offset, sh_size
_HEADERS = {
    32: ("16xHHIIII6xHHHH2x", "IIIIIIII", "4xI8xII16x"),
    64: ("16xHHIQQQ6xHHHH2x", "IIQQQQQQ", "4xI16xQQ24x"),
}
_SEGMENT = {
    32: ("type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align"),
    64: ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align"),
}


class Encoding(StrEnum):
    """The byte order of a file."""

    LSB = "LSB"
    MSB = "MSB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One program header, its fields as in the file."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    flags: int
    align: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section header, as far as the search for notes needs it."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """The container: `elf_class` is 32 or 64, `type` and `machine` are the numbers of elf.h."""

    elf_class: int
    encoding: Encoding
    machine: int
    type: int
    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]

    @property
    def loads(self) -> tuple[Segment, ...]:
        """The segments of type PT_LOAD, in the file's order."""
        return tuple(segment for segment in self.segments if segment.type == PT_LOAD)


@lru_cache(maxsize=RECENT)
def read(data: bytes) -> Elf:
    """The container of `data`, whose header tables lie inside it; what the headers point to is
    not looked at.

    Raises `FormatError`. The last ones are kept: a file is read for what it is, and again for each
    target it may serve.
    """
    if not data.startswith(MAGIC):
        raise CodedFormatError(
            ImageProblem.NOT_ELF, "the file is not an ELF file" if data else "the file is empty"
        )
    elf_class = {1: 32, 2: 64}.get(data[4] if len(data) > 4 else 0)
    encoding = {1: Encoding.LSB, 2: Encoding.MSB}.get(data[5] if len(data) > 5 else 0)
    if elf_class is None or encoding is None:
        raise CodedFormatError(
            ImageProblem.ELF_HEADER, "the ELF header names no known class and byte order"
        )
    order = "<" if encoding is Encoding.LSB else ">"
    header, program, section = (struct.Struct(order + each) for each in _HEADERS[elf_class])
    if len(data) < header.size:
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the file ends inside its ELF header, after {len(data)} of {header.size} bytes",
        )
    kind, machine, version, entry, phoff, shoff, phsize, phnum, shsize, shnum = header.unpack_from(
        data
    )
    if data[6] != 1 or version != 1:
        raise CodedFormatError(ImageProblem.ELF_HEADER, "the ELF header is of an unknown version")
    segments = _table(
        data,
        program,
        _Table(name="program", offset=phoff, count=phnum, stride=phsize, limit=MAX_SEGMENTS),
    )
    sections = _table(
        data,
        section,
        _Table(name="section", offset=shoff, count=shnum, stride=shsize, limit=MAX_SECTIONS),
    )
    return Elf(
        elf_class=elf_class,
        encoding=encoding,
        machine=machine,
        type=kind,
        entry=entry,
        segments=tuple(
            Segment(**dict(zip(_SEGMENT[elf_class], values, strict=True))) for values in segments
        ),
        sections=tuple(Section(type=kind, offset=at, size=size) for kind, at, size in sections),
    )


def content(data: bytes, segment: Segment) -> bytes:
    """The file's bytes of `segment`; raises `FormatError` where the file ends before them."""
    if segment.offset + segment.filesz > len(data):
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the segment at offset {segment.offset:#x} is {segment.filesz} bytes long, and the"
            f" file ends at {len(data):#x}",
            hint="the file was cut off while it was written: make it again",
        )
    return data[segment.offset : segment.offset + segment.filesz]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Where a header table is and how long an entry, as the ELF header says; `limit` is the most
    entries.
    """

    name: str
    offset: int
    count: int
    stride: int
    limit: int


def _table(data: bytes, entry: struct.Struct, table: _Table) -> list[tuple[int, ...]]:
    """The entries of a header table; it must lie inside the file."""
    if table.count > table.limit:
        raise CodedFormatError(
            ImageProblem.ELF_HEADER,
            f"the ELF header counts {table.count} {table.name} headers; no boot image has over"
            f" {table.limit}",
        )
    if table.count and table.stride != entry.size:
        raise CodedFormatError(
            ImageProblem.ELF_HEADER,
            f"a {table.name} header is {table.stride} bytes long; {entry.size} is right for its"
            " class",
        )
    end = table.offset + table.count * entry.size
    if end > len(data):
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the {table.name} header table ends at {end:#x}, outside the file, which ends at"
            f" {len(data):#x}",
        )
    return [entry.unpack_from(data, at) for at in range(table.offset, end, entry.size)]
