# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel needs to reach its root file system. Pure."""

from collections.abc import Sequence

from guest_hooks.formats import fstab
from guest_hooks.preflight.needs import CRYPT, DEVICE_MAPPER, FILE_SYSTEMS, RAIDS, XEN_DISK, Driver
from guest_hooks.records import dataclass, replace
from guest_hooks.volumes import BlockDevice

_NO_USR = "as /usr file system."
"""How what initramfs-tools says of it ends (scripts/local: local_mount_fs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between a kernel and its root: drivers, and programs of the initrd."""

    drivers: tuple[Driver, ...]
    programs: tuple[str, ...] = ()


def way(device: BlockDevice | None, table: str, devices: Sequence[BlockDevice]) -> Way:
    """What a kernel must bring to reach its root, and /usr, which the initrd mounts, too; `table`
    is fstab, for the types of what is not known.
    """
    drivers, programs = [XEN_DISK], []
    lines = fstab.parse(table)
    root, usr = (fstab.at(lines, where) for where in ("/", "/usr"))
    fs_type = (device.fs_type if device else "") or (root.fs_type if root else "")
    if driver := FILE_SYSTEMS.get(fs_type):
        drivers.append(driver)
    if (
        usr
        and (more := FILE_SYSTEMS.get(usr.fs_type))
        and more.module != getattr(driver, "module", "")
    ):
        what = f"the driver of /usr ({usr.fs_type})"
        drivers.append(replace(more, what=what, console=_NO_USR))
    below = {entry.path.rpartition("/")[2]: entry for entry in devices}
    seen = 0
    while device is not None and seen < 8:
        seen += 1
        match device.type:
            case "lvm":
                drivers.append(DEVICE_MAPPER)
                programs.append("lvm")
            case "crypt":
                drivers += [DEVICE_MAPPER, CRYPT]
                programs.append("cryptsetup")
            case kind if kind.startswith("raid"):
                drivers += [RAIDS[kind]] if kind in RAIDS else []
                programs.append("mdadm")
        device = below.get(device.parent)
    return Way(drivers=tuple(dict.fromkeys(drivers)), programs=tuple(dict.fromkeys(programs)))
