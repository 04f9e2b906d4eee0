# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk, partition or volume of a guest, as GRUB and Linux find it."""

from guest_hooks.records import dataclass

_NO_FILES = frozenset(
    {
        "",
        "swap",
        "LVM2_member",
        "crypto_LUKS",
        "linux_raid_member",
        "zfs_member",
        "bcache",
        "VMFS_volume_member",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """One disk, partition or volume; what udev does not know is empty. `type` is lsblk's:
    `disk`, `part`, `lvm`, `crypt`. `names` are the links in /dev that lead to it.
    """

    path: str
    type: str
    fs_type: str = ""
    uuid: str = ""
    label: str = ""
    part_uuid: str = ""
    part_label: str = ""
    parent: str = ""
    mountpoints: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def has_file_system(self) -> bool:
        """Whether it is known to have a file system of its own."""
        return self.fs_type not in _NO_FILES

    @property
    def has_files(self) -> bool:
        """Whether GRUB could look for a file on it: a file system on something a host can show
        to stage 1.
        """
        return self.has_file_system and self.type != "crypt"
