# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen's ELF notes: what an image tells the domain builder and stage 1 about itself."""

from collections.abc import Iterator
from enum import StrEnum

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import elf_notes
from guest_hooks.formats.elf import PT_NOTE, SHT_NOTE, Elf, Encoding
from guest_hooks.formats.elf_notes import ElfNote
from guest_hooks.problems.images import ImageProblem
from guest_hooks.records import dataclass

OWNER = b"Xen\0"


class Kind(StrEnum):
    """How a note's description is read."""

    STRING = "string"
    NUMBER = "number"
    BYTES = "bytes"


# xen/include/public/elfnote.h
_TABLE = {
    0: ("INFO", Kind.STRING),
    1: ("ENTRY", Kind.NUMBER),
    2: ("HYPERCALL_PAGE", Kind.NUMBER),
    3: ("VIRT_BASE", Kind.NUMBER),
    4: ("PADDR_OFFSET", Kind.NUMBER),
    5: ("XEN_VERSION", Kind.STRING),
    6: ("GUEST_OS", Kind.STRING),
    7: ("GUEST_VERSION", Kind.STRING),
    8: ("LOADER", Kind.STRING),
    9: ("PAE_MODE", Kind.STRING),
    10: ("FEATURES", Kind.STRING),
    11: ("BSD_SYMTAB", Kind.STRING),
    12: ("HV_START_LOW", Kind.NUMBER),
    13: ("L1_MFN_VALID", Kind.BYTES),
    14: ("SUSPEND_CANCEL", Kind.NUMBER),
    15: ("INIT_P2M", Kind.NUMBER),
    16: ("MOD_START_PFN", Kind.NUMBER),
    17: ("SUPPORTED_FEATURES", Kind.NUMBER),
    18: ("PHYS32_ENTRY", Kind.NUMBER),
    19: ("PHYS32_RELOC", Kind.BYTES),
}
_NUMBERS = {name: number for number, (name, _) in _TABLE.items()}
_RUNS_PAST_THE_END = 9
"""PAE_MODE: grub-mkimage writes a length of 12 and four bytes."""
MAX_BYTES = 64 * 1024
"""All notes of a file together. A second stage has about 300 bytes of them, a Linux kernel less
than 4 KiB.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One note of Xen's; `name` is that of elfnote.h or the number, `size` the length it claims
    in bytes.
    """

    number: int
    name: str
    value: str | int | bytes
    size: int


def number(name: str) -> int:
    """The number of the note that elfnote.h calls `name`."""
    return _NUMBERS[name]


def described(number: int, value: bytes) -> tuple[str, str | int]:
    """The name of a note of this type, and its value as a report shows it: bytes that are
    neither text nor number in hex.
    """
    name, kind = _TABLE.get(number, (str(number), Kind.BYTES))
    match kind:
        case Kind.STRING:
            return name, value.partition(b"\0")[0].decode("utf-8", errors="backslashreplace")
        case Kind.NUMBER if len(value) in (1, 2, 4, 8):
            return name, int.from_bytes(value, "little")
        case _:
            return name, value.hex()


def read(elf: Elf, data: bytes) -> tuple[Note, ...]:
    """Xen's notes in the file's order, from PT_NOTE segments or, where these hold none, from
    SHT_NOTE sections.

    Notes of other owners are left out. Raises `FormatError` where a note does not fit its segment
    or its value can't be read.
    """
    segments = [(item.offset, item.filesz) for item in elf.segments if item.type == PT_NOTE]
    sections = [(item.offset, item.size) for item in elf.sections if item.type == SHT_NOTE]
    for areas in (segments, sections):
        if (total := sum(size for _, size in areas)) > MAX_BYTES:
            raise CodedFormatError(
                ImageProblem.NOTE_MALFORMED,
                f"the notes are {total} bytes long; no boot image has more than {MAX_BYTES}",
            )
        notes = tuple(note for offset, size in areas for note in _notes(elf, data, offset, size))
        if notes:
            return notes
    return ()


def _notes(elf: Elf, data: bytes, offset: int, size: int) -> Iterator[Note]:
    end = offset + size
    if end > len(data):
        raise CodedFormatError(
            ImageProblem.NOTE_MALFORMED,
            f"the notes at {offset:#x} end at {end:#x}, outside the file, which ends at"
            f" {len(data):#x}",
        )
    order = "<" if elf.encoding is Encoding.LSB else ">"
    rest = offset
    for note in elf_notes.split(data, offset, end, order=order):
        if fault := _fault(note):
            raise CodedFormatError(ImageProblem.NOTE_MALFORMED, f"the note at {note.at:#x} {fault}")
        if note.name == OWNER:
            yield _note(order, note)
        rest = note.next
    if any(data[rest:end]):
        raise CodedFormatError(
            ImageProblem.NOTE_MALFORMED, f"the notes at {offset:#x} end inside a note's header"
        )


def _fault(note: ElfNote) -> str:
    """Why a note is refused, or empty."""
    if not note.has_room_for_name:
        return f"has a name of {note.name_size} bytes, longer than its segment"
    # libxenguest compares the name up to its NUL, GRUB its length too: what only one of them reads
    # is refused.
    if note.name != OWNER and note.name.split(b"\0")[0] == OWNER[:-1]:
        return f"is Xen's, with a name {note.name_size} bytes long in place of 4"
    is_grub_s = (note.name, note.type) == (OWNER, _RUNS_PAST_THE_END) and b"\0" in note.value
    if not note.is_whole and not is_grub_s:
        return f"claims {note.size} bytes and ends outside its segment"
    return ""


def _note(order: str, note: ElfNote) -> Note:
    number, value = note.type, note.value
    name, kind = _TABLE.get(number, (str(number), Kind.BYTES))
    decoded: str | int | bytes
    match kind:
        case Kind.STRING:
            text, nul, _ = value.partition(b"\0")
            if not nul:
                raise CodedFormatError(
                    ImageProblem.NOTE_MALFORMED,
                    f"Xen note {number} ({name}) is a string without an end",
                )
            decoded = text.decode("ascii", errors="backslashreplace")
        case Kind.NUMBER:
            if len(value) not in (1, 2, 4, 8):
                raise CodedFormatError(
                    ImageProblem.NOTE_MALFORMED,
                    f"Xen note {number} ({name}) is a number of {len(value)} bytes",
                )
            decoded = int.from_bytes(value, "little" if order == "<" else "big")
        case Kind.BYTES:
            decoded = value
    return Note(number=number, name=name, value=decoded, size=note.size)
