# SPDX-License-Identifier: GPL-3.0-or-later
"""One GRUB module: a relocatable ELF object with its name and its needs in sections of their own.

Read with plain structures, as GRUB itself does: a core image holds some sixty modules of a dozen
sections each, and pyelftools takes about 0.1 ms for a section header.
"""

import hashlib
import struct

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats.elf import ET_REL, MAGIC, SHT_NOBITS
from guest_hooks.problems.images import ImageProblem
from guest_hooks.records import dataclass

MAX_SECTIONS = 64
MAX_NAMES = 4096
"""Bytes of .modname or .moddeps: a module needs a dozen others at most."""
MODNAME, MODDEPS = b".modname\0", b".moddeps\0"

# elf.h: e_type, e_machine at 16; e_shoff; e_shentsize, e_shnum, e_shstrndx; then sh_name, sh_type,
# sh_offset, sh_size
_EHDR = {32: struct.Struct("<16xHH12xI10xHHH"), 64: struct.Struct("<16xHH20xQ10xHHH")}
_SHDR = {32: struct.Struct("<II8xII16x"), 64: struct.Struct("<II16xQQ24x")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module as it is in the image: `sha256` and `size` are those of its file, `needs` the
    modules it depends on.
    """

    name: str
    sha256: str
    size: int
    needs: tuple[str, ...] = ()


def read(data: bytes, *, elf_class: int, machine: int) -> Module:
    """The module that `data` holds, with or without padding after it; raises `FormatError`."""
    sections, size = _sections(data, elf_class, machine)
    try:
        name = sections[MODNAME].rstrip(b"\0").decode("ascii")
        needs = tuple(
            need.decode("ascii") for need in sections.get(MODDEPS, b"").split(b"\0") if need
        )
    except (KeyError, UnicodeDecodeError):
        raise _damaged("has no readable name") from None
    return Module(name=name, sha256=hashlib.sha256(data[:size]).hexdigest(), size=size, needs=needs)


def _sections(data: bytes, elf_class: int, machine: int) -> tuple[dict[bytes, bytes], int]:
    """The bytes of the two sections, and the size of the object."""
    header, entry = _EHDR[elf_class], _SHDR[elf_class]
    if (
        len(data) < header.size
        or not data.startswith(MAGIC)
        or data[4:6] != bytes((elf_class // 32, 1))
    ):
        raise _damaged(f"is no ELF{elf_class} object")
    elf_type, its_machine, offset, stride, count, names_index = header.unpack_from(data)
    if (elf_type, its_machine, stride) != (ET_REL, machine, entry.size):
        raise _damaged("is no relocatable object for its machine")
    if not names_index < count <= MAX_SECTIONS or offset + count * stride > len(data):
        raise _damaged("has a section table outside its bytes")
    headers = [entry.unpack_from(data, offset + index * stride) for index in range(count)]
    inside = [header for header in headers if header[1] != SHT_NOBITS]
    end = max([offset + count * stride, *(at + size for _, _, at, size in inside)])
    if end > len(data):
        raise _damaged("has a section outside its bytes")
    _, _, at, size = headers[names_index]
    names = data[at : at + size]
    found = {}
    for name, _, at, size in inside:
        for wanted in (MODNAME, MODDEPS):
            if names.startswith(wanted, name):
                if size > MAX_NAMES:
                    raise _damaged(f"has {size} bytes of names")
                found[wanted] = data[at : at + size]
    return found, end


def _damaged(why: str) -> CodedFormatError:
    return CodedFormatError(ImageProblem.MODULE_BLOCK, f"a module in the core image {why}")
