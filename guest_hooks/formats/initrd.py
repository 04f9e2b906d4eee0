# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in an initrd: every name in its archives, plain and compressed, one after another.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c.
"""

from collections.abc import Iterator

from guest_hooks.errors import CodedFormatError, FormatError
from guest_hooks.formats import unpack
from guest_hooks.formats.compression import Compression, UnreasonableError, detect
from guest_hooks.problems.images import FileProblem
from guest_hooks.problems.kernels import InitrdProblem
from guest_hooks.records import dataclass

MAX_MEMBERS = 64
"""Compressed archives one after another; a hook of initramfs-tools can prepend one, and there
are a handful of those.
"""
MAX_NAMES, MAX_NAME_BYTES = 50_000, 4 << 20
"""Of files. `MODULES=most` of Debian makes an initrd with about 3,500 files, whose names have
0.3 MB.
"""
_MAX_NAME = 4096
_HEADER = 110
_BLOCK = 4096
"""Bytes that are looked at for zeros at a time."""
_PROGRAMS = (["bin"], ["sbin"])
_SYSTEMD = ["usr", "lib", "systemd"]
_DRACUT = ("usr/lib/dracut/", "var/lib/dracut/", "lib/dracut/")
_CMDLINE = "etc/cmdline.d/"
_MAGICS = (b"070701", b"070702")
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Initrd:
    """The names in an initrd (no leading slash), how its parts are packed, whether its last
    archive ends as it should, and how many bytes its archives have.
    """

    names: tuple[str, ...]
    compressions: tuple[Compression, ...]
    is_complete: bool
    unpacked: int = 0

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernel versions it holds modules of, sorted."""
        return tuple(
            sorted({parts[1] for name in self.names if len(parts := _below_modules(name)) > 1})
        )

    @property
    def modules(self) -> frozenset[str]:
        """The names of the kernel modules in it, as modprobe calls them."""
        return frozenset(
            module_name(name) for name in self.names if ".ko" in name.rpartition("/")[2]
        )

    @property
    def programs(self) -> frozenset[str]:
        """The names of the files in its directories of programs, systemd's own among them."""
        return frozenset(
            name.rpartition("/")[2]
            for name in self.names
            if (parts := name.split("/")[:-1])[-1:] in _PROGRAMS or parts == _SYSTEMD
        )

    @property
    def is_by_dracut(self) -> bool:
        """Whether dracut made it, and not initramfs-tools."""
        return any(name.startswith(_DRACUT) for name in self.names)

    @property
    def names_root(self) -> bool:
        """Whether it holds a root= of its own, as dracut can put into one (dracut.cmdline(7))."""
        return any(name.startswith(_CMDLINE) and "root" in name for name in self.names)


def module_name(path: str) -> str:
    """The name of the module in the file `path`: `kernel/drivers/block/xen-blkfront.ko.xz` is
    `xen_blkfront`.
    """
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def read(data: bytes) -> Initrd:
    """The contents of an initrd.

    Raises `FormatError`: `initrd-empty`, `initrd-unknown` where it begins with neither an archive
    nor a compression, `corrupt`, `cannot-look-inside` where a library is missing, or where it would
    cost more than any real initrd of its size.
    """
    view = memoryview(data)
    names = _Names()
    compressions: list[Compression] = []
    at = _skip_zeros(view, 0)
    if at == len(view):
        raise CodedFormatError(
            InitrdProblem.EMPTY,
            "the initrd is empty" if not data else "the initrd holds nothing but zeros",
        )
    is_complete, unpacked = False, 0
    while at < len(view):
        head = bytes(view[at : at + 16])
        compression = Compression.NONE if head[:6] in _MAGICS else detect(head)
        if compression is Compression.UNKNOWN:
            if compressions:  # the kernel warns of junk behind the last archive, and goes on
                break
            raise FormatError(
                "initrd-unknown",
                f"the initrd begins with {head[:6].hex()}, no archive and no compression",
            )
        compressions.append(compression)
        if len(compressions) > MAX_MEMBERS:
            raise UnreasonableError(f"it has more than {MAX_MEMBERS} parts")
        member = _Member(unpack.stream(view[at:], compression))
        is_complete = _archives(member, names)
        unpacked += member.read
        is_packed = compression is not Compression.NONE
        at = _skip_zeros(view, at + (member.end if is_packed else member.read))
    return Initrd(
        names=tuple(names.all),
        compressions=tuple(compressions),
        is_complete=is_complete,
        unpacked=unpacked,
    )


class _Names:
    """The names so far, of which there may be as many as a real initrd has."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._size = 0

    def add(self, name: str) -> None:
        self._size += len(name)
        if len(self.all) == MAX_NAMES or self._size > MAX_NAME_BYTES:
            raise UnreasonableError(
                f"it holds more than {MAX_NAMES} files, or {MAX_NAME_BYTES} bytes of their names"
            )
        self.all.append(name)


class _Member:
    """The archives in one member, compressed or not; `offset` is how far the present one was read,
    which its alignment counts from.
    """

    def __init__(self, stream: unpack.Stream) -> None:
        self._stream = stream
        self._kept = b""
        self._at = 0
        self._total = 0
        self.offset = 0

    @property
    def read(self) -> int:
        """How many bytes were read of it, as they are unpacked."""
        return self._total - self._left

    @property
    def end(self) -> int:
        """Where a compressed one ends in the file: what follows its archives is still its own."""
        for _ in self._stream:
            pass
        return self._stream.end

    def take(self, size: int) -> bytes:
        while self._left < size and self._more():
            pass
        data = self._kept[self._at : self._at + size]
        self._at += len(data)
        self.offset += len(data)
        return data

    def skip(self, size: int) -> None:
        self.offset += size
        while self._left < size:
            size -= self._left
            self._at = len(self._kept)
            if not self._more():
                return
        self._at += size

    def is_at_archive(self) -> bool:
        while self._left or self._more():
            block = self._kept[self._at : self._at + _BLOCK]
            rest = block.lstrip(b"\0")
            self._at += len(block) - len(rest)
            if rest:
                break
        while self._left < 6 and self._more():
            pass
        self.offset = 0
        return self._kept[self._at : self._at + 6] in _MAGICS

    @property
    def _left(self) -> int:
        return len(self._kept) - self._at

    def _more(self) -> bool:
        chunk = next(self._stream.chunks, b"")
        self._total += len(chunk)
        self._kept, self._at = self._kept[self._at :] + chunk, 0
        return chunk != b""


def _archives(source: _Member, names: _Names) -> bool:
    """Put the names of every archive from here on into `names`; whether the last one ended with
    its trailer.
    """
    is_complete = False
    while source.is_at_archive():
        is_complete = _archive(source, names)
        if not is_complete:
            break
    return is_complete


def _archive(source: _Member, names: _Names) -> bool:
    for name in _members(source):
        if name == _TRAILER:
            return True
        names.add(name.removeprefix("./").lstrip("/"))
    return False


def _members(source: _Member) -> Iterator[str]:
    while len(header := source.take(_HEADER)) == _HEADER and header[:6] in _MAGICS:
        try:
            size, name_size = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError as error:
            raise CodedFormatError(
                FileProblem.CORRUPT,
                "an archive of the initrd is damaged: a header holds no numbers",
            ) from error
        if not 0 < name_size <= _MAX_NAME:
            raise CodedFormatError(
                FileProblem.CORRUPT,
                f"an archive of the initrd is damaged: a name of {name_size} bytes",
            )
        name = source.take(name_size).rstrip(b"\0").decode(errors="replace")
        source.skip(-source.offset % 4)
        source.skip(size)
        source.skip(-source.offset % 4)
        yield name


def _below_modules(name: str) -> list[str]:
    """The components of `name` from `modules` on, where that is below /lib or /usr/lib; else
    nothing.
    """
    for top in ("usr/lib/modules/", "lib/modules/"):
        if name.startswith(top):
            return ["modules", *name.removeprefix(top).split("/")]
    return []


def _skip_zeros(view: memoryview, at: int) -> int:
    while at < len(view):
        block = bytes(view[at : at + _BLOCK])
        rest = block.lstrip(b"\0")
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at
