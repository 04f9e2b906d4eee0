# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of fstab(5)."""

import re
from collections.abc import Iterator

from guest_hooks.records import dataclass

_FIELD = re.compile(r"[^ \t]+")
_ESCAPES = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))
_ALSO = {"ext4": ("ext4", "ext3", "ext2"), "ext2": ("ext2", "ext3")}
"""Linux fs/ext4/super.c: ext4_check_feature_compatibility; seen with what mkfs(8) makes. blkid(8)
names the least that the features need.
"""
_NO_FILES = frozenset(("swap", "ignore"))
_DEVICES = ("/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")
_ON_THE_NETWORK = frozenset(
    "_netdev afs ceph cifs davfs gfs gfs2 glusterfs lustre ncp ncpfs nfs nfs4 ocfs2 pvfs2 smb3"
    " smbfs sshfs".split()
)
"""An option, and the types for which systemd takes it as given (basic/mountpoint-util.c)."""
_UNITS = ("x-systemd.required-by=", "x-systemd.wanted-by=")
_LOCAL = "x-systemd.required-by=local-fs.target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line: `what` is mounted at `where` (absolute, without a trailing slash), as
    `fs_type`, with `options`.
    """

    what: str
    where: str
    fs_type: str
    options: tuple[str, ...] = ()

    @property
    def is_waited_for(self) -> bool:
        """Whether systemd's boot comes to an end only with this disk: systemd.mount(5)."""
        if "x-systemd.automount" in self.options:
            return False
        if any(option.startswith(_UNITS) for option in self.options):
            return _LOCAL in self.options
        return (
            _ON_THE_NETWORK.isdisjoint((self.fs_type, *self.options))
            and self._last_of("nofail", "fail") != "nofail"
            and self._last_of("noauto", "auto") != "noauto"
        )

    def _last_of(self, *words: str) -> str:
        """Of options that undo each other the one that counts."""
        return next((option for option in reversed(self.options) if option in words), "")

    @property
    def subvolume(self) -> str:
        """The btrfs subvolume of `subvol=`, as a path from the top of the file system; empty
        where none is named.
        """
        given = [
            option.removeprefix("subvol=")
            for option in self.options
            if option.startswith("subvol=")
        ]
        return f"/{given[-1].strip('/')}" if given else ""


def mounts(named: str, fs_type: str) -> bool:
    """Whether Linux mounts a file system that blkid(8) calls `fs_type` as the type `named`."""
    return fs_type in _ALSO.get(named, (named,))


def disks(text: str) -> tuple[Entry, ...]:
    """The lines that name a block device, with those of swap; in their order. One that names no
    path to mount it at counts for nothing.
    """
    return tuple(
        entry
        for entry in _entries(text)
        if entry.what.startswith(_DEVICES)
        and (entry.where.startswith("/") or entry.fs_type == "swap")
    )


def parse(text: str) -> tuple[Entry, ...]:
    """The lines that mount something in the tree of directories, in their order; lines of
    another shape are passed over.
    """
    return tuple(
        entry
        for entry in _entries(text)
        if entry.where[:1] == "/" and entry.fs_type not in _NO_FILES
    )


def _entries(text: str) -> Iterator[Entry]:
    # getmntent(3), by which systemd reads it: the carriage return of another system's line ends,
    # or a space that is not ASCII's, is a part of its field.
    for fields in map(_FIELD.findall, text.split("\n")):
        if len(fields) > 1 and fields[0][0] != "#":
            yield Entry(
                what=_unescape(fields[0]),
                where=_unescape(fields[1]).rstrip("/") or "/",
                fs_type=fields[2] if len(fields) > 2 else "auto",
                options=tuple(fields[3].split(",")) if len(fields) > 3 else (),
            )


def at(entries: tuple[Entry, ...], where: str) -> Entry | None:
    """The entry that is mounted last at `where`."""
    return next((entry for entry in reversed(entries) if entry.where == where), None)


def _unescape(field: str) -> str:
    for escape, character in _ESCAPES:
        field = field.replace(escape, character)
    return field
