# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a kernel that GRUB can start for a PV guest: the vmlinux inside it, packed with gzip.

GRUB's loader for PV takes an ELF file that is packed as a whole with gzip (GRUB
grub-core/io/gzio.c), whatever the bzImage around the same vmlinux is packed with. The comment in
the gzip header (RFC 1952, 2.3) has the SHA-256 of the kernel file that the copy was made of, so
that the two are always read and written together.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import bzimage, unpack
from guest_hooks.formats.compression import GRUB_XEN_UNPACKS, Compression
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem

LEVEL = 1
"""Of zlib: level 6 takes three times as long and saves 7 percent of Debian's 6.12."""
_FCOMMENT = 0x10
_FASTEST, _UNIX = 4, 3  # XFL and OS of RFC 1952, 2.3.1
_COMMENT = "vmlinux of the Linux kernel with SHA-256 {}"
_NAMED = re.compile(re.escape(_COMMENT.format("")).encode() + rb"([0-9a-f]{64})\0")
_HEAD = 10
_LONGEST_COMMENT = 200
_RAW = -15  # zlib.compressobj: a deflate stream with no header of its own
_SIZE_WORD = 4


def is_needed(image: bzimage.Image) -> bool:
    """Whether GRUB can't unpack this kernel for a PV guest."""
    return image.format is bzimage.ImageFormat.BZIMAGE and image.compression not in GRUB_XEN_UNPACKS


def make(kernel: bytes) -> bytes:
    """The copy for the kernel file `kernel`, verified.

    Raises `CodedFormatError`: `PvKernelProblem.UNFIT` where the kernel can't run as a 64-bit PV
    guest, and what `bzimage.parse` and `bzimage.notes` raise.
    """
    image = bzimage.parse(kernel)
    if image.is_truncated:
        raise CodedFormatError(
            ImageProblem.TRUNCATED,
            f"the file has {image.size} bytes and must have {image.needed_size}",
        )
    _require_pv(bzimage.notes(kernel, image))
    packed, digest, size = _packed(kernel, image)
    offset, length = image.payload
    word = kernel[offset + length : offset + length + _SIZE_WORD]
    if int.from_bytes(word, "little") != size:  # linux/scripts/Makefile.lib: size_append
        raise CodedFormatError(
            FileProblem.CORRUPT,
            f"the kernel's payload holds {size} bytes, and its last word says otherwise",
        )
    if _content_digest(packed) != digest:
        raise CodedFormatError(
            FileProblem.CORRUPT, "what was packed does not unpack to the same bytes"
        )
    return packed


def source(copy: bytes) -> str:
    """The SHA-256 of the kernel file that `copy` was made of, by its own word, or empty."""
    named = _NAMED.match(copy, _HEAD, _HEAD + _LONGEST_COMMENT)
    return named[1].decode() if named and copy[3] == _FCOMMENT and copy[0] == 0x1F else ""


def _require_pv(notes: bzimage.Notes) -> None:
    # Linux 5.9 and later have no 32-bit PV
    if notes.bits != 64 or notes.value("ENTRY") is None:
        raise CodedFormatError(
            PvKernelProblem.UNFIT,
            "the kernel can't run as a 64-bit PV guest: it has no Xen note ENTRY",
        )
    loader = notes.value("LOADER")
    if loader is not None and loader.rstrip(b"\0") != b"generic":
        raise CodedFormatError(PvKernelProblem.UNFIT, f"the kernel asks for the loader {loader!r}")


def _packed(kernel: bytes, image: bzimage.Image) -> tuple[bytes, str, int]:
    """The copy, and the SHA-256 and the size of the vmlinux in it."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW)
    comment = _COMMENT.format(hashlib.sha256(kernel).hexdigest()).encode() + b"\0"
    pieces = [bytes((0x1F, 0x8B, zlib.DEFLATED, _FCOMMENT, 0, 0, 0, 0, _FASTEST, _UNIX)), comment]
    content, checksum, size = hashlib.sha256(), 0, 0
    for chunk in _payload(kernel, image):
        content.update(chunk)
        checksum = zlib.crc32(chunk, checksum)
        size += len(chunk)
        pieces.append(deflate.compress(chunk))
    pieces += [
        deflate.flush(),
        checksum.to_bytes(4, "little"),
        (size & 0xFFFFFFFF).to_bytes(4, "little"),
    ]
    return b"".join(pieces), content.hexdigest(), size


def _payload(kernel: bytes, image: bzimage.Image) -> Iterator[bytes]:
    offset, length = image.payload
    head = b""
    size = 0
    for chunk in unpack.stream(memoryview(kernel)[offset : offset + length], image.compression):
        head = head or chunk
        size += len(chunk)
        yield chunk
    if bzimage.elf_end(head) > size:
        raise CodedFormatError(FileProblem.CORRUPT, "the vmlinux ends before its last segment does")


def _content_digest(copy: bytes) -> str:
    content = hashlib.sha256()
    for chunk in unpack.stream(memoryview(copy), Compression.GZIP):
        content.update(chunk)
    return content.hexdigest()
