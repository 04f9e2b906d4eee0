# SPDX-License-Identifier: GPL-3.0-or-later
"""The block devices that a tree given by --root is mounted from, and how its guest will know them.

A host keeps a guest's disk in a loop device, a logical volume, a partition of its own; for the
guest each of them is a plain disk.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from guest_hooks.machine import mounts
from guest_hooks.machine.mounts import BLOCK_DEVICES, Mount
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.records import dataclass

FSTAB = "/etc/fstab"
CRYPTTAB = "/etc/crypttab"
LVM_BACKUPS = "/etc/lvm/backup"
"""Where LVM keeps what it knows of each group of a machine's own (vgcfgbackup(8))."""
MOST_GROUPS, MOST_BACKUP = 100, 4 << 20
"""How many of them are looked at, and bytes of all together."""
HOST_PLACES = frozenset(
    {"/", "/boot", "/boot/efi", "/usr", "/var", "/home", "/opt", "/srv", "/root"}
)
"""Where a host mounts what is its own: no tree sees such a device."""
NOT_ITS_OWN = ("/dev", "/proc", "/sys", "/run")
"""Where people lay the host's directories over a tree's before a chroot."""
SECTOR_SIZES = (512, 4096)
GPT_MAGIC = b"EFI PART"  # at the second sector: UEFI specification, "GPT Header"
MBR_MAGIC = b"\x55\xaa"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeDisk:
    """One block device of a tree: `source` as it was mounted, `paths` where, as the tree names it.

    `is_volume`: the guest itself made a volume of it (LVM, LUKS, RAID), and GRUB must find it as
    that.
    """

    source: str
    number: int
    uuid: str
    paths: tuple[str, ...]
    is_volume: bool

    @property
    def partition_maps(self) -> tuple[str, ...]:
        """GRUB's names of the partition table that this is in; both where it can't be looked
        at, none for a whole disk.
        """
        where = _sysfs(self.number)
        if os.path.exists(f"{where}/partition"):
            return _partition_map(f"/dev/{os.path.basename(os.path.dirname(where))}")
        if (_text(f"{where}/loop/offset") or "0") != "0" or _text(f"{where}/dm/uuid").startswith(
            "part"
        ):
            return ("msdos", "gpt")
        return ()


def of(root: Root) -> tuple[TreeDisk, ...]:
    """The devices of `root` in the order in which they were mounted, without those that are the
    host's.
    """
    known = (_named_volumes(root), _volume_ids(root))
    found: dict[int, TreeDisk] = {}
    for mount, path, number in _mounted(root):
        before = found[number].paths if number in found else ()
        source = found[number].source if before else mount.source
        found[number] = TreeDisk(
            source=source,
            number=number,
            uuid=_uuid(mount.source),
            paths=(*before, path),
            is_volume=_is_volume(number, *known),
        )
    return tuple(found.values())


def _mounted(root: Root) -> Iterator[tuple[Mount, str, int]]:
    """The mounts of the tree that show a device of its own, with their paths in the tree and
    the device's number.

    Its own is what is mounted from its top; a directory of that may be bound to another place in
    the tree.
    """
    everything = mounts.here()
    ours = mounts.below(everything, root)
    hosts = {
        _number(mount)
        for mount in everything
        if mount.mountpoint in HOST_PLACES and mount not in ours
    }
    inside = os.path.realpath(root.path)
    whole = {_number(mount) for mount in ours if mount.root == "/" or mount.fs_type == "btrfs"}
    for mount in ours:
        path = mount.mountpoint.removeprefix(inside) or "/"
        number = _number(mount)
        if (
            number is not None
            and number not in hosts
            and number in whole
            and not f"{path}/".startswith(tuple(f"{p}/" for p in NOT_ITS_OWN))
        ):
            yield mount, path, number


def _uuid(device: str) -> str:
    try:
        return mounts.device_uuid(device)
    except OSError:
        return ""


def _number(mount: Mount) -> int | None:
    if not mount.source.startswith("/dev/"):
        return None
    try:
        status = os.stat(mount.source)
    except OSError:
        return None
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def _is_volume(number: int, named: frozenset[str], ids: frozenset[str]) -> bool:
    """Whether the guest knows this device as a volume: RAID always, of the device mapper's
    those that its own fstab names, or whose group or container its LVM or crypttab knows.

    A guest's volume group can be activated on the host; more often the volume is the host's own,
    and the guest's whole disk.
    """
    where = _sysfs(number)
    if os.path.isdir(f"{where}/md"):
        return True
    kind, _, rest = _text(f"{where}/dm/uuid").partition("-")
    # LVM-GROUPVOLUME, each 32 characters; CRYPT-LUKS2-CONTAINER-NAME (lvm2: dev_manager.c;
    # cryptsetup: utils_device.c).
    own = rest[:_LVM_ID] if kind == "LVM" else "".join(rest.split("-")[1:2])
    return kind in ("LVM", "CRYPT") and (_text(f"{where}/dm/name") in named or own in ids)


_LVM_ID = 32
_ID_IN_BACKUP = re.compile(rb'^\s*id = "([0-9A-Za-z-]{38})"', re.MULTILINE)


def _volume_ids(root: Root) -> frozenset[str]:
    """The ids of the tree's own volume groups and LUKS containers, without hyphens."""
    found = set()
    left = MOST_BACKUP
    for name in root.names(LVM_BACKUPS)[:MOST_GROUPS]:
        with suppress(OSError, NotRegularError):
            data = root.read(f"{LVM_BACKUPS}/{name}", limit=left)
            left -= len(data)
            found |= {match.decode() for match in _ID_IN_BACKUP.findall(data)}
    for line in (root.read_text(CRYPTTAB) or "").splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[1].startswith("UUID="):
            found.add(fields[1].removeprefix("UUID=").strip('"').lower())
    return frozenset(each.replace("-", "") for each in found)


def _named_volumes(root: Root) -> frozenset[str]:
    """The device mapper's names of the volumes that the tree's fstab mounts (/dev/mapper/NAME,
    /dev/GROUP/VOLUME), and that its crypttab opens.
    """
    names = set()
    for line in (root.read_text(FSTAB) or "").splitlines():
        parts = line.split()[0].split("/") if line.split() else []
        if parts[:3] == ["", "dev", "mapper"] and len(parts) == 4:
            names.add(parts[3])
        elif parts[:2] == ["", "dev"] and len(parts) == 4:
            # lvm(8): VALID NAMES
            names.add("-".join(part.replace("-", "--") for part in parts[2:]))
    for line in (root.read_text(CRYPTTAB) or "").splitlines():
        names |= {word for word in line.split()[:1] if not word.startswith("#")}
    return frozenset(names)


def _partition_map(disk: str) -> tuple[str, ...]:
    try:
        with open(disk, "rb") as file:
            start = file.read(2 * max(SECTOR_SIZES))
    except OSError:
        return ("msdos", "gpt")
    if any(start[size : size + len(GPT_MAGIC)] == GPT_MAGIC for size in SECTOR_SIZES):
        return ("gpt",)
    return ("msdos",) if start[510:512] == MBR_MAGIC else ("msdos", "gpt")


def _sysfs(number: int) -> str:
    return os.path.realpath(f"{BLOCK_DEVICES}/{os.major(number)}:{os.minor(number)}")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
