# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's core image: the kernel in the first LOAD segment, and in the second the block of
objects that grub-mkimage put behind it.

The first segment is the same, byte for byte, in every core image of one build of GRUB for one
target, whatever its modules, configuration and prefix; only GNU_STACK, the block and the notes
follow it. It can be told from `kernel.img` alone.
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from functools import lru_cache

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import elf as elf_format
from guest_hooks.formats import grub_module
from guest_hooks.formats.elf import Elf
from guest_hooks.formats.grub_module import Module
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.records import dataclass

# grub: include/grub/kernel.h. From 5 on the types were renumbered in 2.14: device trees, flags and
# the like; 8 is new there.
MAGIC = 0x676D696D
OBJ_ELF, OBJ_MEMDISK, OBJ_CONFIG, OBJ_PREFIX, OBJ_PUBKEY = range(5)
OBJ_DISABLE_CLI = 8
_BLOCK = {32: struct.Struct("<III"), 64: struct.Struct("<I4xQQ")}
_OBJECT = struct.Struct("<II")

_SEARCH_UUID = re.compile(r"^[ \t]*search\.fs_uuid\s+(\S+)\s+root\b", re.MULTILINE)
_VERSION = re.compile(rb"\0([0-9]+\.[0-9]+[0-9A-Za-z.+~:-]*)\0")
MAX_OBJECTS = 2048
"""GRUB has about 300 modules for a target."""
MAX_COMMENTS = 1000
"""Lines that mention what is looked for and comment it out; with more than that they count as
they stand.
"""
_LINE_END = re.compile(rb"[\n\0]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What grub-mkimage put into a core image.

    `config` is the embedded configuration, `fs_uuid` the one it searches for; `grub_version` is
    normal.mod's word, empty where that is not embedded; `is_stage1` says that the configuration or
    a file of the memdisk starts second stages, `reads_guest_cfg` that it reads the guest's
    grub.cfg; `public_keys` are those that signatures are checked with, as they were given to
    `--pubkey`; `has_cli` is False where `--disable-cli` took GRUB's command line away.
    """

    prefix: str
    config: str
    fs_uuid: str
    modules: tuple[Module, ...]
    has_memdisk: bool
    is_stage1: bool
    reads_guest_cfg: bool
    grub_version: str
    public_keys: tuple[bytes, ...] = ()
    has_cli: bool = True

    @property
    def checks_signatures(self) -> bool:
        """Whether GRUB asks for a signature of each file (commands/pgp.c: by a key of its own)."""
        return bool(self.public_keys) and any(module.name == "pgp" for module in self.modules)


@lru_cache(maxsize=elf_format.RECENT)
def read(elf: Elf, data: bytes) -> Core:
    """The core image in `data`, whose container is `elf`; raises `FormatError` where its block
    of objects is not well formed.
    """
    block = _block(elf, data)
    objects = _objects(block, elf.elf_class)
    bodies = [body for kind, body in objects if kind == OBJ_ELF]
    modules = [
        grub_module.read(body, elf_class=elf.elf_class, machine=elf.machine) for body in bodies
    ]
    names = [module.name for module in modules]
    if len(set(names)) < len(names):
        raise CodedFormatError(ImageProblem.MODULE_BLOCK, "a module is in the core image twice")
    memdisk, config, prefix = (
        _only(objects, kind) for kind in (OBJ_MEMDISK, OBJ_CONFIG, OBJ_PREFIX)
    )
    text = _text(config)
    scripts = (memdisk or b"") + b"\0" + (config or b"")
    found = _SEARCH_UUID.search(text)
    return Core(
        prefix=_text(prefix),
        config=text,
        fs_uuid=found[1] if found else "",
        modules=tuple(modules),
        has_memdisk=memdisk is not None,
        is_stage1=any(True for word in (b"pvboot-", b"pvhboot-") for _ in _lines(scripts, word)),
        reads_guest_cfg=any(
            b"configfile" in line or b"normal" in line
            for line in _lines(scripts, b"/grub/grub.cfg")
        ),
        grub_version=next(
            (_version(body) for name, body in zip(names, bodies, strict=True) if name == "normal"),
            "",
        ),
        public_keys=tuple(body for kind, body in objects if kind == OBJ_PUBKEY),
        has_cli=not any(kind == OBJ_DISABLE_CLI for kind, _ in objects),
    )


def kernel_sha256(kernel_img: bytes) -> str:
    """The hash that `SecondStage.kernel_sha256` has in every core image made with this
    kernel.img; raises `FormatError`.

    grub-mkimage lays the kernel's allocated sections out as its own LOAD segment already has them.
    """
    loads = elf_format.read(kernel_img).loads
    if len(loads) != 1:
        raise CodedFormatError(
            FileProblem.NOT_A_KERNEL, f"kernel.img has {len(loads)} LOAD segments; GRUB's has one"
        )
    return hashlib.sha256(elf_format.content(kernel_img, loads[0])).hexdigest()


def _block(elf: Elf, data: bytes) -> bytes:
    """The objects, without the block's header, of which everything is checked."""
    if len(elf.loads) < 2:
        raise CodedFormatError(
            ImageProblem.NO_MODULE_BLOCK,
            "there is no second LOAD segment, where a GRUB core image has its modules",
        )
    kernel, mods = elf.loads[:2]
    block = elf_format.content(data, mods)
    header = _BLOCK[elf.elf_class]
    if len(block) < header.size or _BLOCK[32].unpack_from(block)[0] != MAGIC:
        raise CodedFormatError(
            ImageProblem.NO_MODULE_BLOCK, "the second LOAD segment does not hold GRUB's modules"
        )
    _, offset, size = header.unpack_from(block)
    if size != len(block) or not header.size <= offset <= size:
        raise CodedFormatError(
            ImageProblem.MODULE_BLOCK,
            f"the module block claims {size} bytes from {offset} on, and its segment has"
            f" {len(block)}",
        )
    align = elf.elf_class // 8
    # the kernel looks for the block right behind its .bss
    if mods.memsz != len(block) or mods.paddr != -(-(kernel.paddr + kernel.memsz) // align) * align:
        raise CodedFormatError(
            ImageProblem.MODULE_BLOCK,
            f"the module block is not loaded, whole, right behind the kernel: {mods.memsz} bytes to"
            f" {mods.paddr:#x}",
        )
    return block[offset:]


def _objects(block: bytes, elf_class: int) -> list[tuple[int, bytes]]:
    """Type and body of every object; they must tile the block.

    An object begins where the one before it ends, rounded up to the size of an address. Modules,
    memdisk, configuration and prefix are padded and claim the padded size; a key claims its own
    (grub: FOR_MODULES in include/grub/kernel.h, util/mkimage.c).
    """
    objects: list[tuple[int, bytes]] = []
    at = 0
    align = elf_class // 8
    while at < len(block):
        if at + _OBJECT.size > len(block):
            raise CodedFormatError(
                ImageProblem.MODULE_BLOCK, "the module block ends inside an object's header"
            )
        kind, size = _OBJECT.unpack_from(block, at)
        end = at + -(-size // align) * align
        if size < _OBJECT.size or (size % align and kind < OBJ_PUBKEY) or end > len(block):
            raise CodedFormatError(
                ImageProblem.MODULE_BLOCK,
                f"an object of {size} bytes does not fit the module block",
            )
        if len(objects) == MAX_OBJECTS:
            raise CodedFormatError(
                ImageProblem.MODULE_BLOCK, f"the module block holds more than {MAX_OBJECTS} objects"
            )
        objects.append((kind, block[at + _OBJECT.size : at + size]))
        at = end
    return objects


def _only(objects: list[tuple[int, bytes]], kind: int) -> bytes | None:
    found = [body for its_kind, body in objects if its_kind == kind]
    if len(found) > 1:
        raise CodedFormatError(
            ImageProblem.MODULE_BLOCK,
            f"the core image holds {len(found)} objects of type {kind}, of which GRUB reads one",
        )
    return found[0] if found else None


def _text(body: bytes | None) -> str:
    if body is None:
        return ""
    text, nul, _ = body.partition(b"\0")
    if not nul:
        raise CodedFormatError(
            ImageProblem.MODULE_BLOCK,
            "the core image's configuration or prefix is a string without an end",
        )
    return text.decode("utf-8", errors="backslashreplace")


def _lines(scripts: bytes, word: bytes) -> Iterator[bytes]:
    """Every line that holds `word` and does not comment it out; a memdisk is searched as it is,
    in time linear to its size.
    """
    end = seen = 0
    while (at := scripts.find(word, end)) >= 0:
        start = max(scripts.rfind(b"\n", end, at), scripts.rfind(b"\0", end, at), end - 1) + 1
        found = _LINE_END.search(scripts, at)
        end = found.start() if found else len(scripts)
        seen += 1
        if b"#" not in scripts[start:at] or seen > MAX_COMMENTS:
            yield scripts[start:end]


def _version(normal: bytes) -> str:
    found = _VERSION.search(normal)
    return found[1].decode("ascii") if found else ""
