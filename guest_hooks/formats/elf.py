# SPDX-License-Identifier: GPL-3.0-or-later
"""The ELF container: header, segments and sections of a file held in memory.

pyelftools knows the structures. Its `ELFStructs` alone is used, not `ELFFile`: that one pulls in
the DWARF reader (three times the import time), follows offsets wherever a hostile file sends them,
and takes Xen's notes for GNU's. Loading even that takes longer than most runs' other work, so what
was read can be handed in again (`recall`), with all that it rests on.
"""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

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
MOST_KNOWN = 16
"""The same, and those before an upgrade of GRUB."""

_HEADER_SIZES = {32: (52, 32, 40), 64: (64, 56, 64)}
"""Bytes of the ELF header, a program header and a section header, for each class."""


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


Span = tuple[int, int]
"""Where bytes lie in a file: from here up to there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of a file, and what that rests on: its size in bytes, and the `sha256` of those
    that were looked at, at `spans`.
    """

    size: int
    spans: tuple[Span, ...]
    sha256: str
    elf: Elf

    def is_of(self, data: bytes) -> bool:
        """Whether `data` is a file in which the same would be read."""
        return len(data) == self.size and _digest(data, self.spans) == self.sha256


_known: list[Reading] = []


def recall(readings: Iterable[Reading]) -> None:
    """Take for known what earlier runs have read."""
    _known[:] = readings


def known() -> tuple[Reading, ...]:
    """What was read last, in this run or an earlier one."""
    return tuple(_known[-MOST_KNOWN:])


@lru_cache(maxsize=RECENT)
def read(data: bytes) -> Elf:
    """The container of `data`, whose header tables lie inside it; what the headers point to is
    not looked at.

    Raises `FormatError`. The last ones are kept: a file is read for what it is, and again for each
    target it may serve.
    """
    for reading in _known:
        if reading.is_of(data):
            return reading.elf
    elf, spans = _read(data)
    found = Reading(size=len(data), spans=spans, sha256=_digest(data, spans), elf=elf)
    recall((*known(), found))
    return elf


def _digest(data: bytes, spans: tuple[Span, ...]) -> str:
    return hashlib.sha256(b"".join(data[start:end] for start, end in spans)).hexdigest()


def _read(data: bytes) -> tuple[Elf, tuple[Span, ...]]:
    """The container of `data`, and where all lies that it was read from."""
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
    ehdr_size, phdr_size, shdr_size = _HEADER_SIZES[elf_class]
    if len(data) < ehdr_size:
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the file ends inside its ELF header, after {len(data)} of {ehdr_size} bytes",
        )
    structs = _structs(elf_class, encoding)
    header = structs.Elf_Ehdr.parse(data[:ehdr_size])
    if data[6] != 1 or _number(header["e_version"], _enums().ENUM_E_VERSION) != 1:
        raise CodedFormatError(ImageProblem.ELF_HEADER, "the ELF header is of an unknown version")
    program, programs = _table(data, header, structs.Elf_Phdr, "program", phdr_size, MAX_SEGMENTS)
    section, sections = _table(data, header, structs.Elf_Shdr, "section", shdr_size, MAX_SECTIONS)
    elf = Elf(
        elf_class=elf_class,
        encoding=encoding,
        machine=_number(header["e_machine"], _enums().ENUM_E_MACHINE),
        type=_number(header["e_type"], _enums().ENUM_E_TYPE),
        entry=header["e_entry"],
        segments=tuple(
            Segment(
                type=_number(item["p_type"], _enums().ENUM_P_TYPE_BASE),
                **{
                    name: item[f"p_{name}"]
                    for name in ("offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align")
                },
            )
            for item in programs
        ),
        sections=tuple(
            Section(
                type=_number(item["sh_type"], _enums().ENUM_SH_TYPE_BASE),
                offset=item["sh_offset"],
                size=item["sh_size"],
            )
            for item in sections
        ),
    )
    return elf, ((0, ehdr_size), program, section)


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


def _table(
    data: bytes, header: Any, struct: Any, name: str, size: int, limit: int
) -> tuple[Span, list[Any]]:
    """The place and the entries of the table of `name` headers, of `size` bytes each and at most
    `limit`; it must lie inside the file, where the ELF header says.
    """
    offset, count, stride = (header[f"e_{name[0]}h{what}"] for what in ("off", "num", "entsize"))
    if count > limit:
        raise CodedFormatError(
            ImageProblem.ELF_HEADER,
            f"the ELF header counts {count} {name} headers; no boot image has over {limit}",
        )
    if count and stride != size:
        raise CodedFormatError(
            ImageProblem.ELF_HEADER,
            f"a {name} header is {stride} bytes long; {size} is right for its class",
        )
    end = offset + count * size
    if end > len(data):
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the {name} header table ends at {end:#x}, outside the file, which ends at"
            f" {len(data):#x}",
        )
    return (offset, end), [struct.parse(data[at : at + size]) for at in range(offset, end, size)]


def _number(value: int | str, names: Mapping[str, Any]) -> int:
    """The number behind a name that pyelftools put in its place."""
    return value if isinstance(value, int) else int(names[value])


def _enums() -> Any:
    from elftools.elf import enums  # noqa: PLC0415 (12 ms)

    return enums


@cache
def _structs(elf_class: int, encoding: Encoding) -> Any:
    from elftools.elf.structs import ELFStructs  # noqa: PLC0415 (12 ms)

    structs = ELFStructs(little_endian=encoding is Encoding.LSB, elfclass=elf_class)
    structs.create_basic_structs()
    structs.create_advanced_structs()
    return structs
