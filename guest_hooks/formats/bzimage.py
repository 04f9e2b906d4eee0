# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux kernel images: the setup header, how the payload is packed, and the notes of the
vmlinux inside.

Sources: Linux Documentation/arch/x86/boot.rst; GRUB
grub-core/loader/i386/{linux,xen_file,xen_fileXX}.c.
"""

import struct
from enum import StrEnum

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import elf_notes, unpack, xen_notes
from guest_hooks.formats.compression import Compression, detect
from guest_hooks.formats.forward import Forward
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.records import dataclass

MAX_UNPACKED = 1 << 30
"""Bytes; no header of a vmlinux points beyond."""
PAYLOAD_PROTOCOL = 0x0208
"""The first boot protocol that tells where the payload is."""

GRUB_OPENS = frozenset({Compression.GZIP, Compression.XZ})
"""How an ELF file as a whole may be packed for the same loader: grub_file_open() unpacks it
(GRUB grub-core/io/{gzio,xzio}.c).
"""

LINUX_VERSION_NOTE = 256  # the release, since 5.18 (linux/include/linux/build-salt.h)

_HEADER_END = 0x268
_EHDR = {32: struct.Struct("<28xI10xHH"), 64: struct.Struct("<32xQ14xHH")}
"""elf.h: e_phoff, e_phentsize, e_phnum."""
_PHDR = {32: struct.Struct("<II8xI12x"), 64: struct.Struct("<I4xQ16xQ16x")}
"""elf.h: p_type, p_offset, p_filesz."""
_EHDR_SIZE = {32: 52, 64: 64}
_PT_NOTE = 4
_MAX_NOTES = 64 << 10
"""Bytes of all notes together; Debian's kernels have about 500."""
_MAX_PHNUM = 128


class ImageFormat(StrEnum):
    """How the file is wrapped."""

    BZIMAGE = "bzimage"
    ELF = "elf"
    PACKED_ELF = "packed-elf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the head of a kernel file says; nothing is unpacked for it.

    `protocol` is 0 for a bare ELF. `needed_size` is the least number of bytes the file must have.
    `payload` is the packed vmlinux as (offset, length), without the length word that the kernel's
    build appends. `release` is empty where the head does not say.
    """

    format: ImageFormat
    protocol: int
    bits: int
    loads_high: bool
    compression: Compression
    payload: tuple[int, int]
    needed_size: int
    size: int
    release: str = ""

    @property
    def is_truncated(self) -> bool:
        """Whether bytes are missing at the end."""
        return self.size < self.needed_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the notes of a vmlinux say: `bits` is its ELF class, `xen` holds (type, value) of
    each note of owner Xen, in order.
    """

    bits: int
    xen: tuple[tuple[int, bytes], ...] = ()
    release: str = ""

    def value(self, name: str) -> bytes | None:
        """The value of the first Xen note that elfnote.h calls `name`."""
        return next((value for kind, value in self.xen if kind == xen_notes.number(name)), None)


def parse(data: bytes) -> Image:
    """The facts of a kernel file's head; raises `FormatError` (`not-a-kernel`, `truncated`)."""
    if data.startswith(b"\x7fELF"):
        return _elf(data, data, Compression.NONE, needed=elf_end(data))
    packing = detect(data[:16])
    if packing in GRUB_OPENS:
        return _packed_elf(data, packing)
    if not data.strip(b"\0"):
        raise CodedFormatError(
            FileProblem.NOT_A_KERNEL,
            "the file is empty" if not data else "the file holds nothing but zeros",
        )
    if len(data) < _HEADER_END:
        raise CodedFormatError(ImageProblem.TRUNCATED, f"the file ends after {len(data)} bytes")
    if data[0x1FE:0x200] != b"\x55\xaa" or data[0x202:0x206] != b"HdrS":
        raise CodedFormatError(
            FileProblem.NOT_A_KERNEL, "the file has neither a Linux setup header nor an ELF header"
        )
    return _bzimage(data)


def _packed_elf(data: bytes, compression: Compression) -> Image:
    """A vmlinux in a gzip or xz file, as far as its first bytes tell."""
    try:
        head = next(iter(unpack.stream(memoryview(data), compression)), b"")
    except CodedFormatError as error:
        if error.code is FileProblem.CORRUPT and len(data) < _HEADER_END:
            raise CodedFormatError(ImageProblem.TRUNCATED, error.message) from error
        raise
    if not head.startswith(b"\x7fELF"):
        what = f"the file is packed with {compression} and holds no ELF file"
        raise CodedFormatError(FileProblem.NOT_A_KERNEL, what)
    return _elf(data, head, compression, needed=len(data))


def _elf(data: bytes, head: bytes, compression: Compression, *, needed: int) -> Image:
    """The ELF file that begins with `head` and is, packed or not, `data` as a whole."""
    is_packed = compression is not Compression.NONE
    return Image(
        format=ImageFormat.PACKED_ELF if is_packed else ImageFormat.ELF,
        protocol=0,
        bits={1: 32, 2: 64}.get(head[4] if len(head) > 4 else 0, 0),
        loads_high=True,
        compression=compression,
        payload=(0, len(data)),
        needed_size=needed,
        size=len(data),
    )


def _bzimage(data: bytes) -> Image:
    protocol, version_at = _u16(data, 0x206), _u16(data, 0x20E)
    setup_size = ((data[0x1F1] or 4) + 1) * 512
    offset = length = 0
    compression = Compression.UNKNOWN
    if protocol >= PAYLOAD_PROTOCOL:
        offset, length = setup_size + _u32(data, 0x248), _u32(data, 0x24C)
        head = data[offset : offset + 16]
        compression = Compression.NONE if head.startswith(b"\x7fELF") else detect(head)
        # linux/scripts/Makefile.lib: size_append
        if compression not in (Compression.NONE, Compression.GZIP):
            length = max(length - 4, 0)
    xloadflags = _u16(data, 0x236) if protocol >= 0x020C else 0
    version = data[0x200 + version_at : 0x200 + version_at + 256].partition(b"\0")[0]
    release = version.decode("ascii", "replace").partition(" ")[0] if version_at else ""
    return Image(
        format=ImageFormat.BZIMAGE,
        protocol=protocol,
        bits=64 if xloadflags & 1 else 32,
        loads_high=bool(data[0x211] & 1),
        compression=compression,
        payload=(offset, length),
        needed_size=max(setup_size + _u32(data, 0x1F4) * 16, offset + length),
        size=len(data),
        release=release,
    )


def notes(data: bytes, image: Image, *, to_the_end: bool = False) -> Notes:
    """The notes of the vmlinux in `data`, unpacked no further than they reach, or `to_the_end`
    so that all of it was checked.

    Raises `FormatError`: `cannot-look-inside` where a library is missing or the payload unpacks to
    more than a real one of its size does, `corrupt`, `not-elf`.
    """
    offset, length = image.payload
    if not length:
        raise CodedFormatError(
            FileProblem.NO_PAYLOAD,
            f"boot protocol {image.protocol >> 8}.{image.protocol & 255:02} has no payload to look"
            " into",
        )
    if offset + length > len(data):
        raise CodedFormatError(FileProblem.CORRUPT, "the payload ends after the file does")
    source = Forward(unpack.stream(memoryview(data)[offset : offset + length], image.compression))
    ident = source.take(0, 64)
    if not ident.startswith(b"\x7fELF") or ident[4] not in (1, 2) or ident[5] != 1:
        raise CodedFormatError(ImageProblem.NOT_ELF, "the payload is not a little-endian ELF file")
    bits = 64 if ident[4] == 2 else 32
    found: list[tuple[int, bytes]] = []
    release = ""
    for start, size in _note_segments(source, ident, bits):
        for note in elf_notes.split(source.take(start, size), 0, size):
            owner = note.name.rstrip(b"\0")
            if not note.is_whole:
                raise CodedFormatError(
                    ImageProblem.NOT_ELF, "a note of the vmlinux runs past its segment"
                )
            if owner == b"Xen":
                found.append((note.type, note.value))
            elif owner == b"Linux" and note.type == LINUX_VERSION_NOTE:
                release = note.value.rstrip(b"\0").decode("ascii", "replace")
    if to_the_end:
        source.drain()
    return Notes(bits=bits, xen=tuple(found), release=release)


def _note_segments(source: Forward, ident: bytes, bits: int) -> list[tuple[int, int]]:
    entry = _PHDR[bits]
    at, entry_size, count = _EHDR[bits].unpack_from(ident)
    if not 0 < count <= _MAX_PHNUM or entry_size != entry.size or at > MAX_UNPACKED:
        raise CodedFormatError(
            ImageProblem.NOT_ELF, "the program headers of the vmlinux make no sense"
        )
    table = entry.iter_unpack(source.take(at, entry_size * count))
    segments = sorted((offset, size) for kind, offset, size in table if kind == _PT_NOTE)
    total = sum(size for _, size in segments)
    if total > _MAX_NOTES or any(offset > MAX_UNPACKED for offset, _ in segments):
        raise CodedFormatError(
            ImageProblem.NOT_ELF, "a note segment of the vmlinux is out of bounds"
        )
    return segments


def elf_end(data: bytes) -> int:
    """The least length of the ELF file `data`: the end of its last segment; `FormatError` where
    its headers are cut short.
    """
    try:
        bits = 64 if data[4] == 2 else 32
        at, _, count = _EHDR[bits].unpack_from(data)
        entry = _PHDR[bits]
        table = (entry.unpack_from(data, at + entry.size * number) for number in range(count))
        return max((offset + size for _, offset, size in table), default=_EHDR_SIZE[bits])
    except (struct.error, OverflowError, IndexError) as error:  # an offset past all addresses
        raise CodedFormatError(
            ImageProblem.TRUNCATED, f"the ELF file ends after {len(data)} bytes, inside its headers"
        ) from error


def _u16(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", data, at)[0])


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
