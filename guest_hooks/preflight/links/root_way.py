# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel needs to reach its root file system. Pure."""

from collections.abc import Sequence

from guest_hooks.preflight.needs import CRYPT, DEVICE_MAPPER, FILE_SYSTEMS, RAIDS, XEN_DISK, Driver
from guest_hooks.records import dataclass
from guest_hooks.volumes import BlockDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between a kernel and its root: drivers, and programs of the initrd."""

    drivers: tuple[Driver, ...]
    programs: tuple[str, ...] = ()


def way(device: BlockDevice | None, fs_type: str, devices: Sequence[BlockDevice]) -> Way:
    """What a kernel must bring to reach its root; `fs_type` is what fstab says, for where the
    device is not known.
    """
    drivers, programs = [XEN_DISK], []
    if driver := FILE_SYSTEMS.get((device.fs_type if device else "") or fs_type):
        drivers.append(driver)
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


def fstab_type(text: str) -> str:
    """The type that fstab gives the root file system, or an empty string."""
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    return next((fields[2] for fields in rows if len(fields) >= 3 and fields[1] == "/"), "")
