# SPDX-License-Identifier: GPL-3.0-or-later
"""Second stages as GRUB's own tools make them, and the ways to damage one that a table of tests
can name.
"""

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS

UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
CONFIG = f"search.fs_uuid {UUID} root \nset prefix=($root)'/boot/grub'\n"
MODULES = ("ext2", "normal", "search_fs_uuid", "part_gpt")
STAGE1_CFG = (
    "if search -s -f /boot/xen/pvboot-x86_64.elf ; then\n\tmultiboot"
    " /boot/xen/pvboot-x86_64.elf\n\tboot\nfi\n"
)
PVH_STAGE1_CFG = (
    "if search -s -f /boot/grub/grub.cfg ; then\n\tconfigfile /boot/grub/grub.cfg\nfi\n"
)


@cache
def core_image(
    target: str,
    *,
    config: str = CONFIG,
    prefix: str = "/boot/grub",
    modules: tuple[str, ...] = MODULES,
    memdisk: str | None = None,
    keys: tuple[bytes, ...] = (),
    options: tuple[str, ...] = (),
    mkimage: tuple[str, ...] = ("grub-mkimage",),
    lib: str = "/usr/lib/grub",
) -> bytes:
    """What grub-mkimage makes; `memdisk` is the text of a grub.cfg to put into one; it takes
    any `keys`.
    """
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        command = [
            *mkimage,
            "-O",
            target,
            "-d",
            f"{lib}/{target}",
            "-p",
            prefix,
            "-o",
            str(top / "core.elf"),
        ]
        if config:
            (top / "load.cfg").write_text(config)
            command += ["-c", str(top / "load.cfg")]
        if memdisk is not None:
            (top / "grub.cfg").write_text(memdisk)
            subprocess.run(["tar", "-cf", "memdisk.tar", "grub.cfg"], cwd=top, check=True)
            command += ["-m", str(top / "memdisk.tar")]
        for number, key in enumerate(keys):
            (top / f"key-{number}").write_bytes(key)
            command += ["-k", str(top / f"key-{number}")]
        subprocess.run([*command, *options, *modules], check=True, timeout=60, capture_output=True)
        return (top / "core.elf").read_bytes()


@cache
def standalone_image(target: str, cfg: str) -> bytes:
    """What grub-mkstandalone makes of an admin's own grub.cfg."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        (top / "grub.cfg").write_text(cfg)
        command = [
            "grub-mkstandalone",
            "-O",
            target,
            "-o",
            str(top / "out.elf"),
            "--install-modules=ext2 normal configfile memdisk tar",
        ]
        subprocess.run(
            [*command, f"boot/grub/grub.cfg={top / 'grub.cfg'}"],
            check=True,
            timeout=60,
            capture_output=True,
        )
        return (top / "out.elf").read_bytes()


# elf.h: format and fields of the ELF header and of a program header
_EHDR_FIELDS = (
    *("type", "machine", "version", "entry", "phoff", "shoff", "flags", "ehsize"),
    *("phentsize", "phnum", "shentsize", "shnum", "shstrndx"),
)
_EHDR = {32: "<16xHHIIIIIHHHHHH", 64: "<16xHHIQQQIHHHHHH"}
_PHDR_FIELDS = {
    32: ["type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align"],
    64: ["type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align"],
}
_PHDR = {32: "<IIIIIIII", 64: "<IIQQQQQQ"}
LOAD_KERNEL, GNU_STACK, LOAD_MODS, NOTE = range(4)
"""The program headers of a core image, by index."""


def elf_class(image: bytes) -> int:
    return 32 * image[4]


def header(image: bytes) -> dict[str, int]:
    return dict(zip(_EHDR_FIELDS, struct.unpack_from(_EHDR[elf_class(image)], image), strict=True))


def with_header(image: bytes, **fields: int) -> bytes:
    """`image` with other values in its ELF header."""
    packed = struct.pack(_EHDR[elf_class(image)], *(header(image) | fields).values())
    return image[:16] + packed[16:] + image[len(packed) :]


def segment(image: bytes, index: int) -> dict[str, int]:
    kind = elf_class(image)
    return dict(
        zip(
            _PHDR_FIELDS[kind],
            struct.unpack_from(_PHDR[kind], image, _phdr_at(image, index)),
            strict=True,
        )
    )


def with_segment(image: bytes, index: int, **fields: int) -> bytes:
    """`image` with other values in a program header."""
    packed = struct.pack(_PHDR[elf_class(image)], *(segment(image, index) | fields).values())
    return put(image, _phdr_at(image, index), packed)


def put(image: bytes, at: int, new: bytes) -> bytes:
    """`image` with other bytes at an offset."""
    return image[:at] + new + image[at + len(new) :]


def note(number: int, value: bytes, *, owner: bytes = b"Xen\0", size: int | None = None) -> bytes:
    """One note; `size` is the length it claims, where that is not the true one."""
    padded = owner + b"\0" * (-len(owner) % 4) + value + b"\0" * (-len(value) % 4)
    return struct.pack("<III", len(owner), len(value) if size is None else size, number) + padded


def notes(image: bytes) -> bytes:
    """The notes as they are in the file."""
    where = segment(image, NOTE)
    return image[where["offset"] : where["offset"] + where["filesz"]]


def with_notes(image: bytes, raw: bytes) -> bytes:
    """`image` with other notes; they are the last thing in a core image."""
    offset = segment(image, NOTE)["offset"]
    return with_segment(image[:offset] + raw, NOTE, filesz=len(raw))


def without_note(image: bytes, number: int) -> bytes:
    """`image` without its note `number`."""
    return with_notes(
        image, b"".join(raw for its_number, raw in split_notes(image) if its_number != number)
    )


def with_note(image: bytes, number: int, value: bytes) -> bytes:
    """`image` with `value` in its note `number`."""
    parts = (
        note(number, value) if its_number == number else raw
        for its_number, raw in split_notes(image)
    )
    return with_notes(image, b"".join(parts))


def split_notes(image: bytes) -> Sequence[tuple[int, bytes]]:
    """Number and bytes of each note."""
    raw, at, found = notes(image), 0, []
    while at < len(raw):
        name_size, size, number = struct.unpack_from("<III", raw, at)
        end = at + 12 + (name_size + 3 & ~3) + (size + 3 & ~3)
        found.append((number, raw[at:end]))
        at = end
    return found


def block_at(image: bytes) -> int:
    """The offset of the module block's header."""
    return segment(image, LOAD_MODS)["offset"]


def objects(image: bytes) -> Sequence[tuple[int, int, int]]:
    """Offset, type and size of each object in the module block."""
    at = block_at(image) + (12 if elf_class(image) == 32 else 24)
    end, found = block_at(image) + segment(image, LOAD_MODS)["filesz"], []
    align = elf_class(image) // 8
    while at < end:
        kind, size = struct.unpack_from("<II", image, at)
        found.append((at, kind, size))
        at += -(-size // align) * align
    return found


def object_at(image: bytes, kind: int) -> int:
    """The offset of the first object of type `kind`."""
    return next(at for at, its_kind, _ in objects(image) if its_kind == kind)


def _phdr_at(image: bytes, index: int) -> int:
    size = {32: 32, 64: 56}[elf_class(image)]
    return header(image)["phoff"] + index * size


def fits(image: bytes) -> tuple[str, ...]:
    """The names of the targets that `image` may be installed for."""
    return tuple(
        name for name, target in TARGETS.items() if not second_stage.problems(image, target)
    )
