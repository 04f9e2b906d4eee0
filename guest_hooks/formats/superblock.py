# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file system's superblock says: the UUID, and what it is otherwise, for the file systems
Debian installs /boot on.
"""

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


# The magic's place, the magic, and from where to where the fields are of which GRUB's driver makes
# something, without the UUID and what the kernel counts there: sizes, version, features (ext4.h,
# xfs_format.h, btrfs_tree.h as above). btrfs: the number of devices among them.
_SHAPES = (
    (0x438, b"\x53\xef", ((0x418, 0x42C), (0x438, 0x43A), (0x44C, 0x450), (0x458, 0x468))),
    (0, b"XFSB", ((0, 8), (100, 108), (120, 128), (192, 220))),
    (0x10040, b"_BHRfS_M", ((0x10088, 0x100A0), (0x100AC, 0x100C6))),
)
_DEVICES_AT = 0x10088
"""btrfs: num_devices."""
_TABLE, _XFS_TABLE = slice(0, 0x400), slice(440, 512)
"""Where a partition table could be on a disk with a file system: XFS begins at once."""
SHAPE_SIZE = 0x100C6
"""How many bytes from a device's start `shape` looks at."""


def shape(data: bytes) -> str:
    """What the file system that starts with `data` is, beside its UUID: another text where it has
    other features; empty for one on several devices, and for any other content.
    """
    for magic_at, magic, spans in _SHAPES:
        if data[magic_at : magic_at + len(magic)] == magic and len(data) >= SHAPE_SIZE:
            is_btrfs = magic_at == _SHAPES[-1][0]
            if is_btrfs and int.from_bytes(data[_DEVICES_AT : _DEVICES_AT + 8], "little") != 1:
                return ""
            return " ".join(data[start:end].hex() for start, end in spans)
    return ""


def beside(data: bytes) -> bytes:
    """Where a partition table is on a disk that starts with `data`, a file system."""
    return data[_XFS_TABLE if data.startswith(b"XFSB") else _TABLE]
