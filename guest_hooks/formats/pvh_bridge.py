# SPDX-License-Identifier: GPL-3.0-or-later
"""The PVH bridge: a core image that the `linux` command of a PVH GRUB can start.

No PVH GRUB can chainload a PVH core image, but each can start a Linux kernel. The bridge is a Linux
setup header, 512 bytes of code (pvh_bridge.S) and the exact core image. It is a function of the
core image: `unwrap(wrap(core)) == core`, and a file that is not `wrap` of what it holds is damaged.

    0x000  setup: boot sector and one sector more, as Documentation/arch/x86/boot.rst has it
    0x400  CODE, with the core image's places filled in
    0x600  the core image
"""

import struct
from itertools import pairwise

from guest_hooks.errors import CodedFormatError, FormatError
from guest_hooks.formats import elf, xen_notes
from guest_hooks.formats.elf import Elf, Segment
from guest_hooks.model import Problem
from guest_hooks.problems.images import ImageProblem
from guest_hooks.targets import EM_386

LOWEST = 0x100000
"""Where a loader may put the bridge at the lowest, and a core image may begin: what is below
belongs to neither.
"""
PREFERRED = 0x1000000
"""Where the bridge wants to be, and above every place of a core image, so that nothing has to
move out of the way first.
"""
MAX_SEGMENTS = 8

SETUP_SIZE = 1024
CODE = bytes.fromhex(
    "fafc8da6e8010000e8000000005d83ed0d8b46708b567489c109d10f847101000089f381fe00f00f007605bb0080"
    "000089df8db560000000b9a0010000f3a48983200000008993240000008d8b38000000898b180000008d8be00000"
    "00ffe10078c56e330100000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000008db5"
    "000200008bbb4000000039fe73188b8b440000008d740eff8d7c0ffffdf3a4fc8bb34000000089f58d9350000000"
    "8b7a0485ff74158b3201ee8b4a08f3a431c08b4a0cf3aa83c210ebe4ffa3480000008db5a4010000ac84c07404e6"
    "e9ebf7f4ebfd78656e2d67756573742d626f6f746c6f616465723a2068616c7465643a20746865206c6f61646572"
    "206f662074686520505648206272696467652067617665206e6f20525344500a"
)
"""pvh_bridge.S, assembled."""
CODE_SIZE = 512
CORE_OFFSET = SETUP_SIZE + CODE_SIZE

_PARAMETERS = struct.Struct("<III4x")
_PARAMETERS_AT = 0xA0
"""`top`, `size`, `entry` of the code."""
_SEGMENT = struct.Struct("<IIII")
_SEGMENTS_AT = 0xB0

_NAME = b"xen-guest-bootloader PVH bridge\0"
_NAME_AT = 0x280
_HALT_AT = 0x268
_HALT = b"\xfa\xf4\xeb\xfd"
"""cli; hlt; back to hlt: what a loader gets that enters the real-mode part."""
# Documentation/arch/x86/boot.rst; from version 2.15 on GRUB 2.14 wants a kernel_info structure too
_HEADER = struct.Struct("<BHIHHHH BB4sHIHHBBHIIIIHBBIIIBBHIIQIIQQII")
_HEADER_AT = 0x1F1
_MAGIC = b"HdrS"
_MAGIC_AT = 0x202
_LOADED_HIGH = 1


def wrap(core: bytes) -> bytes:
    """The bridge for a PVH core image.

    Raises `FormatError` where `core` is none, or where its segments overlap, lie where the bridge
    can't put them, or leave no room.
    """
    container = elf.read(core)
    if (container.elf_class, container.machine, container.type) != (32, EM_386, elf.ET_EXEC):
        raise FormatError(
            "not-pvh-core", "the file is no 32-bit x86 executable, and so no PVH core image"
        )
    entry = _entry(container, core)
    loads = _loads(container, core)
    if not any(load.paddr <= entry < load.paddr + load.filesz for load in loads):
        raise FormatError(
            "entry-outside-segments",
            f"the PVH entry {entry:#x} is in none of the core image's segments",
        )
    top = _page(max(load.paddr + load.memsz for load in loads))
    code = bytearray(CODE.ljust(CODE_SIZE, b"\0"))
    _PARAMETERS.pack_into(code, _PARAMETERS_AT, top, len(core), entry)
    for number, load in enumerate(loads):
        place = _SEGMENTS_AT + number * _SEGMENT.size
        _SEGMENT.pack_into(
            code, place, load.offset, load.paddr, load.filesz, load.memsz - load.filesz
        )
    # Wherever the loader puts the bridge from 1 MiB up, this reaches from there to the end of a
    # core image moved up to `top`.
    room = _page(top - LOWEST + CODE_SIZE + len(core))
    return _setup(CODE_SIZE + len(core), room) + bytes(code) + core


def is_bridge(data: bytes) -> bool:
    """Whether `data` calls itself a bridge, damaged or not."""
    return (
        data[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC
        and data[_NAME_AT : _NAME_AT + len(_NAME)] == _NAME
    )


def unwrap(data: bytes) -> bytes:
    """The exact core image that the bridge `data` carries; raises `FormatError` where it is no
    bridge, or a damaged one.
    """
    if not is_bridge(data):
        raise FormatError("not-bridge", "the file is no PVH bridge")
    core = data[CORE_OFFSET:]
    try:
        whole = wrap(core)
    except FormatError as error:
        raise CodedFormatError(
            ImageProblem.BRIDGE_DAMAGED, f"the PVH bridge holds no core image: {error.message}"
        ) from error
    if whole != data:
        raise CodedFormatError(
            ImageProblem.BRIDGE_DAMAGED, "the PVH bridge is not what its core image makes"
        )
    return core


def damage(data: bytes) -> Problem | None:
    """Why the bridge `data` can't be started, whatever the core image in it is; None where it
    is whole.
    """
    try:
        unwrap(data)
    except FormatError as error:
        return Problem.of(ImageProblem.BRIDGE_DAMAGED, error.message)
    return None


def _entry(container: Elf, core: bytes) -> int:
    entries = [
        note.value for note in xen_notes.read(container, core) if note.name == "PHYS32_ENTRY"
    ]
    if len(entries) != 1 or entries[0] != container.entry:
        raise FormatError(
            "not-pvh-core", "the file lacks one Xen note 18 (PHYS32_ENTRY) that names its entry"
        )
    return container.entry


def _loads(container: Elf, core: bytes) -> list[Segment]:
    """The segments to unpack, lowest first."""
    loads = sorted((load for load in container.loads if load.memsz), key=lambda load: load.paddr)
    if not 0 < len(loads) <= MAX_SEGMENTS:
        raise FormatError(
            "segment-count",
            f"the core image has {len(loads)} segments to load; 1 to {MAX_SEGMENTS} can be carried",
        )
    for load in loads:
        elf.content(core, load)
        if load.filesz > load.memsz:
            raise FormatError(
                "segment-size",
                f"the segment at {load.paddr:#x} has more bytes in the file than in memory",
            )
        if load.paddr < LOWEST:
            raise FormatError(
                "segment-out-of-range", f"the segment at {load.paddr:#x} lies below {LOWEST:#x}"
            )
        if load.paddr + load.memsz > PREFERRED:
            raise FormatError(
                "no-room",
                f"the segment at {load.paddr:#x} ends above {PREFERRED:#x}, where the bridge itself"
                " has to be",
            )
    for lower, upper in pairwise(loads):
        if lower.paddr + lower.memsz > upper.paddr:
            raise FormatError(
                "segment-overlap", f"the segments at {lower.paddr:#x} and {upper.paddr:#x} overlap"
            )
    return loads


def _setup(size: int, room: int) -> bytes:
    """The real-mode part; `size` counts the bytes after it, `room` the memory they need where
    the loader puts them.
    """
    setup = bytearray(SETUP_SIZE)
    _HEADER.pack_into(
        setup,
        _HEADER_AT,
        *(SETUP_SIZE // 512 - 1, 0, -(-size // 16), 0, 0, 0, 0xAA55),
        *(0xEB, _HALT_AT - _MAGIC_AT, _MAGIC, 0x020C),
        *(0, 0, _NAME_AT - 0x200, 0, _LOADED_HIGH, 0, LOWEST),  # realmode_swtch … code32_start
        *(0, 0, 0, 0, 0, 0, 0, 0x7FFFFFFF),  # ramdisk_image … initrd_addr_max
        # kernel_alignment, relocatable_kernel, min_alignment, xloadflags, cmdline_size
        *(4096, 1, 12, 0, 2047),
        # hardware_subarch … pref_address, init_size, handover_offset
        *(0, 0, 0, 0, 0, PREFERRED, room, 0),
    )
    setup[_HALT_AT : _HALT_AT + len(_HALT)] = _HALT
    setup[_NAME_AT : _NAME_AT + len(_NAME)] = _NAME
    return bytes(setup)


def _page(address: int) -> int:
    return (address + 0xFFF) & ~0xFFF
