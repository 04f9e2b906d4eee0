# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of a file system that GRUB's drivers, or those of an older GRUB, refuse to read.

The tables are what grub-fstest of each version reads and refuses. Sources of the bits: Linux
fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h; of the masks: GRUB grub-core/fs/{ext2,xfs}.c. GRUB's
btrfs driver looks at no feature bits.
"""

import re
import struct
from collections.abc import Iterable, Mapping

from guest_hooks.model import BootFilesystem
from guest_hooks.records import dataclass

SIZE = 0x800
"""How many bytes from a device's start `features` looks at."""
OLDEST_HOST = "2.06"
"""The oldest GRUB that a host is expected to start: without what Debian added to its 2.06."""

_EXT_AT, _EXT_MAGIC = 0x400, b"\x53\xef"
_XFS_MAGIC = b"XFSB"
_XFS_VERSION_5 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature by the name that mkfs gives it.

    `reads` is the first upstream GRUB that reads it, empty for none yet; `backports` are Debian's
    versions of an older one that read it too. One that is not `is_known` came after this table.
    """

    name: str
    reads: str = ""
    backports: tuple[str, ...] = ()
    is_known: bool = True


_EXT_KNOWN = 0x0002 | 0x0004 | 0x0010 | 0x0040 | 0x0080 | 0x0100 | 0x0200 | 0x10000
"""filetype, needs_recovery, meta_bg, extent, 64bit, mmp, flex_bg, encrypt: every GRUB from 2.06 on
reads them.
"""
_EXT_INCOMPAT: Mapping[int, Feature] = {
    0x0001: Feature(name="compression"),
    0x0008: Feature(name="journal_dev"),
    0x0400: Feature(name="ea_inode"),
    0x1000: Feature(name="dirdata"),
    0x2000: Feature(name="metadata_csum_seed", reads="2.12", backports=("2.06-8",)),
    0x4000: Feature(name="large_dir", reads="2.12", backports=("2.06-8",)),
    0x8000: Feature(name="inline_data"),
    0x20000: Feature(name="casefold"),
}
_EXT_RO_COMPAT: Mapping[int, Feature] = {0x0200: Feature(name="bigalloc")}
"""Of the features that forbid writing alone, the one that changes where a file's blocks are."""
_XFS_KNOWN = 0x01 | 0x02 | 0x04 | 0x08
"""ftype, sparse inodes, another metadata UUID, bigtime."""
_XFS_BACKPORTS = ("2.06-13+deb12u2", "2.06-3~deb11u7")
_XFS_INCOMPAT: Mapping[int, Feature] = {
    0x10: Feature(name="needsrepair", reads="2.12", backports=_XFS_BACKPORTS),
    0x20: Feature(name="nrext64", reads="2.12", backports=_XFS_BACKPORTS),
    0x40: Feature(name="exchange", reads="2.14"),
    0x80: Feature(name="parent", reads="2.14"),
    0x100: Feature(name="metadir", reads="2.14"),
}


def features(data: bytes) -> tuple[Feature, ...]:
    """Those features of the file system in `data` that not every GRUB from 2.06 on reads."""
    if data[_EXT_AT + 0x38 : _EXT_AT + 0x3A] == _EXT_MAGIC and len(data) >= _EXT_AT + 0x68:
        incompat, ro_compat = struct.unpack_from("<II", data, _EXT_AT + 0x60)
        return (
            *_named(incompat & ~_EXT_KNOWN, _EXT_INCOMPAT),
            *(feature for bit, feature in _EXT_RO_COMPAT.items() if ro_compat & bit),
        )
    if data.startswith(_XFS_MAGIC) and len(data) >= 220:
        (version,) = struct.unpack_from(">H", data, 100)
        (incompat,) = struct.unpack_from(">I", data, 216)
        return (
            _named(incompat & ~_XFS_KNOWN, _XFS_INCOMPAT) if version & 0xF == _XFS_VERSION_5 else ()
        )
    return ()


def unreadable(found: Iterable[Feature], version: str) -> tuple[Feature, ...]:
    """Those of `found` that the GRUB of this version, as its package names it, does not read."""
    return tuple(feature for feature in found if not _is_read(feature, version))


def readers(found: Iterable[Feature]) -> str:
    """The first upstream version that reads all of `found`; empty where none does."""
    versions = [feature.reads for feature in found]
    return max(versions, key=_upstream) if versions and all(versions) else ""


def _named(bits: int, table: Mapping[int, Feature]) -> tuple[Feature, ...]:
    return tuple(
        table.get(1 << number, Feature(name=f"unknown feature {1 << number:#x}", is_known=False))
        for number in range(32)
        if bits >> number & 1
    )


def _is_read(feature: Feature, version: str) -> bool:
    if feature.reads and _upstream(version) >= _upstream(feature.reads):
        return True
    return any(_is_later(version, backport) for backport in feature.backports)


def _upstream(version: str) -> tuple[int, ...]:
    """The upstream part in numbers; a release candidate counts as what it is a candidate of."""
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _is_later(version: str, backport: str) -> bool:
    """Whether `version` is `backport` or a later one of the same branch of Debian's.

    A branch is what is before the last number: a release's own updates, or the uploads to unstable.
    """
    branch, least = re.fullmatch(r"(.*?)(\d+)", backport).groups()  # type: ignore[union-attr]
    found = re.fullmatch(rf"(?:\d+:)?{re.escape(branch)}(\d+)(.*)", version)
    return found is not None and int(found[1]) >= int(least)


def explain(boot: BootFilesystem) -> str:
    """Why this guest's GRUB can't read /boot; empty where it can."""
    found = boot.unreadable
    if found is None:
        return ""
    grub = f"GRUB {found.version}" if found.version else "GRUB"
    what = f"{grub} can't read {boot.device}, the file system of /boot"
    if not found.features:
        return f"{what} ({boot.fs_type}): {found.words}"
    return f"{what} ({boot.fs_type} with {', '.join(found.features)})"


def remedy(boot: BootFilesystem) -> str:
    """The next step where this guest's GRUB can't read /boot."""
    found = boot.unreadable
    if found is None:
        return ""
    if not found.features:
        return "put /boot on ext4, XFS or btrfs; see what GRUB finds: grub-probe -v /boot"
    other = f"put /boot on a file system made without {', '.join(found.features)}"
    return f"install grub-xen-bin {found.readers} or later, or {other}" if found.readers else other
