# SPDX-License-Identifier: GPL-3.0-or-later
"""The UUID in a file system's superblock, for the file systems Debian installs /boot on."""

# Bytes from the device's start: where the magic is, the magic, where the UUID is. Plain tuples: the
# cheapest look imports this.
_LAYOUTS = (
    (0x438, b"\x53\xef", 0x468),  # ext4: fs/ext4/ext4.h, s_magic and s_uuid
    (0, b"XFSB", 32),  # XFS: fs/xfs/libxfs/xfs_format.h, sb_magicnum and sb_uuid
    (0x10040, b"_BHRfS_M", 0x10020),  # btrfs: include/uapi/linux/btrfs_tree.h, magic and fsid
)

SIZE = 0x10048
"""How many bytes from a device's start `read_uuid` looks at."""


def read_uuid(data: bytes) -> str:
    """The UUID of the file system that starts with `data`, as blkid writes it; empty for any
    other content.
    """
    for magic_at, magic, uuid_at in _LAYOUTS:
        if data[magic_at : magic_at + len(magic)] == magic and len(data) >= uuid_at + 16:
            raw = data[uuid_at : uuid_at + 16].hex()
            return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
    return ""
