# SPDX-License-Identifier: GPL-3.0-or-later
"""The compressions of kernels and initrds: which one by its magic, and what reading it needs."""

from enum import StrEnum

from guest_hooks.errors import CodedFormatError
from guest_hooks.problems.images import FileProblem


class Compression(StrEnum):
    """How a kernel's payload or an initrd is packed."""

    NONE = "none"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    LZMA = "lzma"
    XZ = "xz"
    LZO = "lzo"
    LZ4 = "lz4"
    ZSTD = "zstd"
    UNKNOWN = "unknown"


GRUB_XEN_UNPACKS = frozenset({Compression.NONE, Compression.GZIP, Compression.XZ})
"""What GRUB's loader for PV kernels can unpack: grub_xen_file() opens the payload through the
file filters, and those there are gzio, xzio and lzopio (include/grub/file.h:
GRUB_FILE_FILTER_COMPRESSION_FIRST to _LAST). It takes the length word that Linux's build appends
away for xz alone, and lzopio refuses a payload with that word: LZO is no good. Same in 2.06 and
2.12. 2.14 has a filter for zstd, too, which is not used: docs/upstream.md says why."""

# linux/lib/decompress.c; LZO there is lzop's container, LZ4 the legacy frame
_MAGICS = (
    (Compression.GZIP, b"\x1f\x8b"),
    (Compression.BZIP2, b"BZh"),
    (Compression.LZMA, b"\x5d\0\0"),
    (Compression.XZ, b"\xfd7zXZ\0"),
    (Compression.LZO, b"\x89LZO\0\r\n\x1a\n"),
    (Compression.LZ4, b"\x02\x21\x4c\x18"),
    (Compression.ZSTD, b"\x28\xb5\x2f\xfd"),
)


PACKAGES = {
    Compression.ZSTD: "python3-zstandard",
    Compression.LZ4: "python3-lz4",
    Compression.LZO: "python3-lzo",
}
"""The Debian package of the library that each compression outside Python's own needs."""


class UnreasonableError(CodedFormatError):
    """The bytes may be fine: looking at all of them would cost more than any real file of that
    size.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "make a new one: update-initramfs -u, or reinstall the kernel's package",
    ) -> None:
        super().__init__(FileProblem.CANNOT_LOOK_INSIDE, what, hint=hint)


class LibraryMissingError(CodedFormatError):
    """The bytes may be fine: the library that reads this compression is not installed."""

    def __init__(self, compression: Compression) -> None:
        package = PACKAGES[compression]
        super().__init__(
            FileProblem.CANNOT_LOOK_INSIDE,
            f"cannot look inside {compression}",
            hint=f"apt install {package}",
        )


def detect(head: bytes) -> Compression:
    """Which compression begins with `head` (16 bytes are enough)."""
    for compression, magic in _MAGICS:
        if head.startswith(magic):
            return compression
    return Compression.UNKNOWN
