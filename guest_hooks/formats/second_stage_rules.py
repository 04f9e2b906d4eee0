# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules a second stage must keep: those of Xen's domain builder, those of stage 1's GRUB,
and those both leave out.

A file that breaks one either is refused by stage 1, which is harmless, or starts and hangs or
crashes the domain, which is not: no second stage is safer than a bad one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import elf as elf_format
from guest_hooks.formats import grub_core, xen_notes
from guest_hooks.formats.elf import ET_EXEC, PF_W, PF_X, Elf, Encoding, Segment
from guest_hooks.formats.xen_notes import Note
from guest_hooks.model import Mode, Problem
from guest_hooks.problems.images import ImageProblem
from guest_hooks.targets import EM_386, Target

PAGE = 4096
TOP = 1 << 32
"""Where a PVH image must end; a PV one that needs as much memory is damaged."""
BLOCK = 1024
"""Bytes: the smallest block of a file system. No GRUB kernel from 2.06 to 2.14 has over 200
zero bytes in a row.
"""
_LAYOUT_NOTES = ("PADDR_OFFSET", "BSD_SYMTAB", "HV_START_LOW", "INIT_P2M", "MOD_START_PFN")
"""What GRUB never asks for, and could not run with."""
_PAE_MODES = ("yes", "yes,bimodal", "bimodal")
_ARCHES = {3: "386", 62: "x86-64"}


def broken(data: bytes, target: Target) -> Iterator[Problem]:
    """Every rule that `data` breaks as a second stage for `target`."""
    try:
        elf = elf_format.read(data)
    except CodedFormatError as error:
        yield _problem(error)
        return
    yield from _container(elf, target)
    yield from _segments(elf, data)
    try:
        notes = xen_notes.read(elf, data)
    except CodedFormatError as error:
        yield _problem(error)
    else:
        yield from _notes(elf, notes, target)
    yield from _core(elf, data, target)


def _container(elf: Elf, target: Target) -> Iterator[Problem]:
    if elf.elf_class != target.elf_class:
        yield Problem.of(
            ImageProblem.CLASS_MISMATCH,
            f"the file is ELF{elf.elf_class}; {target.name} needs ELF{target.elf_class}",
        )
    if elf.encoding is not Encoding.LSB:
        yield Problem.of(
            ImageProblem.ENCODING_MISMATCH, "the file is big-endian; x86 is little-endian"
        )
    if elf.machine != target.elf_machine:
        found, needed = (
            _ARCHES.get(machine, str(machine)) for machine in (elf.machine, target.elf_machine)
        )
        yield Problem.of(
            ImageProblem.MACHINE_MISMATCH,
            f"the file is for machine {found}; {target.name} needs {needed}",
        )
    if elf.type != ET_EXEC:
        yield Problem.of(
            ImageProblem.NOT_EXECUTABLE, f"the file is of ELF type {elf.type}, not 2 (ET_EXEC)"
        )


def _segments(elf: Elf, data: bytes) -> Iterator[Problem]:
    if not elf.loads:
        yield Problem.of(ImageProblem.NO_LOAD_SEGMENT, "there is no LOAD segment")
    for segment in elf.loads:
        at = f"the LOAD segment at offset {segment.offset:#x}"
        if segment.offset + segment.filesz > len(data):
            yield Problem.of(
                ImageProblem.TRUNCATED,
                f"{at} is {segment.filesz} bytes long, and the file ends at {len(data):#x}",
            )
        if segment.filesz > segment.memsz:
            yield Problem.of(
                ImageProblem.LOAD_SIZE,
                f"{at} has {segment.filesz} bytes in the file and {segment.memsz} in memory",
            )
        if segment.paddr + segment.memsz > TOP:
            yield Problem.of(
                ImageProblem.LOAD_OUT_OF_RANGE,
                f"{at} ends at {segment.paddr + segment.memsz:#x} in memory, above 4 GiB",
            )
        # elf_phdr_is_loadable in xen/common/libelf
        if not segment.flags & (PF_W | PF_X):
            yield Problem.of(
                ImageProblem.LOAD_NOT_LOADABLE,
                f"{at} is neither writable nor executable; Xen would not load it",
            )
    ordered = sorted((item for item in elf.loads if item.memsz), key=lambda item: item.paddr)
    for lower, upper in pairwise(ordered):
        if lower.paddr + lower.memsz > upper.paddr:
            yield Problem.of(
                ImageProblem.LOAD_OVERLAP,
                f"the LOAD segments at offsets {lower.offset:#x} and {upper.offset:#x} overlap in"
                " memory",
            )


def _notes(elf: Elf, notes: tuple[Note, ...], target: Target) -> Iterator[Problem]:
    if not notes:
        yield Problem.of(
            ImageProblem.NO_XEN_NOTES,
            "the file has no Xen notes: no domain builder and no stage 1 would start it",
        )
        return
    for number, count in Counter(note.number for note in notes).items():
        if count > 1:
            yield Problem.of(
                ImageProblem.NOTE_DUPLICATE, f"Xen note {number} is there {count} times"
            )
    by_name = {note.name: note for note in notes}
    for name in _LAYOUT_NOTES:
        if name in by_name and (name, by_name[name].value) != ("PADDR_OFFSET", 0):
            yield Problem.of(
                ImageProblem.NOTE_LAYOUT,
                f"Xen note {xen_notes.number(name)} ({name}) asks for a memory layout that GRUB is"
                " not built for",
            )
    if "FEATURES" in by_name and "!" in str(by_name["FEATURES"].value):
        yield Problem.of(
            ImageProblem.NOTE_FEATURES,
            f"Xen note 10 (FEATURES) requires {by_name['FEATURES'].value!r}, and GRUB requires"
            " none",
        )
    if target.mode is Mode.PVH:
        yield from _pvh_notes(elf, by_name)
    else:
        yield from _pv_notes(elf, by_name, target)


def _pvh_notes(elf: Elf, notes: dict[str, Note]) -> Iterator[Problem]:
    note = notes.get("PHYS32_ENTRY")
    if note is None:
        yield Problem.of(
            ImageProblem.NOTE_MISSING,
            "the file lacks Xen note 18 (PHYS32_ENTRY)",
        )
        return
    entry = _number(note)
    if note.size != 4:
        yield Problem.of(
            ImageProblem.NOTE_SIZE, f"Xen note 18 (PHYS32_ENTRY) has {note.size} bytes, not 4"
        )
    if entry != elf.entry:
        yield Problem.of(
            ImageProblem.ENTRY_MISMATCH,
            f"PHYS32_ENTRY is {entry:#x} and the ELF entry {elf.entry:#x}",
        )
    if not _in_code(entry, [(segment.paddr, segment) for segment in elf.loads]):
        yield Problem.of(
            ImageProblem.ENTRY_OUTSIDE,
            f"PHYS32_ENTRY {entry:#x} is not inside an executable LOAD segment",
        )


def _pv_notes(elf: Elf, notes: dict[str, Note], target: Target) -> Iterator[Problem]:
    if "PHYS32_ENTRY" in notes:
        yield Problem.of(
            ImageProblem.PVH_IMAGE, "the file has Xen note 18 (PHYS32_ENTRY): it is a PVH image"
        )
    needed = ["LOADER", "XEN_VERSION", "VIRT_BASE", "ENTRY"] + ["PAE_MODE"] * (
        target.elf_machine == EM_386
    )
    for name in needed:
        if name not in notes:
            yield Problem.of(
                ImageProblem.NOTE_MISSING,
                f"the file lacks Xen note {xen_notes.number(name)} ({name})",
            )
    if "LOADER" in notes and notes["LOADER"].value != "generic":
        yield Problem.of(
            ImageProblem.NOTE_LOADER, f"Xen note LOADER is {notes['LOADER'].value!r}, not 'generic'"
        )
    if "XEN_VERSION" in notes and not str(notes["XEN_VERSION"].value).startswith("xen-3.0"):
        yield Problem.of(
            ImageProblem.NOTE_XEN_VERSION,
            f"Xen note XEN_VERSION is {notes['XEN_VERSION'].value!r}, not 'xen-3.0'",
        )
    if "PAE_MODE" in needed and "PAE_MODE" in notes and notes["PAE_MODE"].value not in _PAE_MODES:
        yield Problem.of(
            ImageProblem.NOTE_PAE_MODE,
            f"Xen note PAE_MODE is {notes['PAE_MODE'].value!r}, not one of {', '.join(_PAE_MODES)}",
        )
    yield from _pv_addresses(elf, notes)


def _pv_addresses(elf: Elf, notes: dict[str, Note]) -> Iterator[Problem]:
    if "VIRT_BASE" in notes:
        base = _number(notes["VIRT_BASE"])
        if base % PAGE:
            yield Problem.of(
                ImageProblem.NOTE_VIRT_BASE, f"Xen note VIRT_BASE {base:#x} is not page-aligned"
            )
        lowest = min((segment.vaddr for segment in elf.loads), default=0)
        if base > lowest:
            yield Problem.of(
                ImageProblem.NOTE_VIRT_BASE,
                f"Xen note VIRT_BASE {base:#x} is above the lowest load address {lowest:#x}",
            )
        # Xen maps a segment at its physical address plus this; GRUB runs only where it was linked
        # to
        if any(segment.paddr + base != segment.vaddr for segment in elf.loads):
            yield Problem.of(
                ImageProblem.LOAD_ADDRESS,
                f"with Xen note VIRT_BASE {base:#x} the file would not be loaded where it was"
                " linked to run",
            )
    if "ENTRY" in notes:
        entry = _number(notes["ENTRY"])
        if not _in_code(entry, [(segment.vaddr, segment) for segment in elf.loads]):
            yield Problem.of(
                ImageProblem.ENTRY_OUTSIDE,
                f"Xen note ENTRY {entry:#x} is not inside an executable LOAD segment",
            )


def _core(elf: Elf, data: bytes, target: Target) -> Iterator[Problem]:
    try:
        core = grub_core.read(elf, data)
    except CodedFormatError as error:
        yield _problem(error)
    else:
        if core.is_stage1:
            yield Problem.of(
                ImageProblem.STAGE_1_IMAGE,
                "the image looks for second stages itself: it would start itself again and again",
            )
        # the guest's grub.cfg takes a prefix in a memdisk for a host's image, and starts the second
        # stage from there
        elif (
            target.mode is Mode.PVH and core.prefix.startswith("(memdisk)") and core.reads_guest_cfg
        ):
            yield Problem.of(
                ImageProblem.STAGE_1_IMAGE,
                "the image reads the guest's grub.cfg as a PVH stage 1 does, and would start itself"
                " again and again",
            )
    for segment in elf.loads[:1]:
        # blocks that never reached the disk read as zeros after a power cut
        if any(
            not any(data[at : at + BLOCK])
            for at in range(segment.offset, min(segment.offset + segment.filesz, len(data)), BLOCK)
        ):
            yield Problem.of(
                ImageProblem.KERNEL_ZEROED,
                "a part of the GRUB kernel in the first LOAD segment holds nothing but zeros",
            )


def _in_code(address: int, segments: Iterable[tuple[int, Segment]]) -> bool:
    return any(
        start <= address < start + segment.filesz and segment.flags & PF_X
        for start, segment in segments
    )


def _number(note: Note) -> int:
    return note.value if isinstance(note.value, int) else 0


def _problem(error: CodedFormatError) -> Problem:
    return Problem.of(error.code, error.message)
