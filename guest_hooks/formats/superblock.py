"""The UUID in a file system's superblock, for the file systems Debian installs /boot on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a file system keeps its magic and its UUID, in bytes from the device's start."""

    fs_type: str
    magic_at: int
    magic: bytes
    uuid_at: int


_LAYOUTS = (
    _Layout(fs_type="ext4", magic_at=0x438, magic=b"\x53\xef", uuid_at=0x468),  # fs/ext4/ext4.h: s_magic, s_uuid
    _Layout(fs_type="xfs", magic_at=0, magic=b"XFSB", uuid_at=32),  # fs/xfs/libxfs/xfs_format.h: sb_magicnum, sb_uuid
    _Layout(fs_type="btrfs", magic_at=0x10040, magic=b"_BHRfS_M", uuid_at=0x10020),  # include/uapi/linux/btrfs_tree.h: magic, fsid
)

SIZE = 0x10048
"""How many bytes from a device's start `read_uuid` looks at."""


def read_uuid(data: bytes) -> str:
    """The UUID of the file system that starts with `data`, as blkid writes it; empty for any other content."""
    for layout in _LAYOUTS:
        if data[layout.magic_at : layout.magic_at + len(layout.magic)] == layout.magic:
            raw = data[layout.uuid_at : layout.uuid_at + 16].hex()
            return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
    return ""
