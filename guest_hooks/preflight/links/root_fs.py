# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the root file system that a kernel's command line names is there, and what a kernel
needs to reach it. Pure.
"""

from collections.abc import Sequence
from functools import partial

from guest_hooks.formats import disk_names
from guest_hooks.preflight.links import twins
from guest_hooks.preflight.needs import CRYPT, DEVICE_MAPPER, FILE_SYSTEMS, XEN_DISK, Driver
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.boot import RootProblem
from guest_hooks.records import dataclass
from guest_hooks.volumes import BlockDevice

_root = partial(Finding.of, link=Link.ROOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between a kernel and its root: drivers, and programs of the initrd."""

    drivers: tuple[Driver, ...]
    programs: tuple[str, ...] = ()


def wanted(arguments: Sequence[str]) -> str:
    """The value of the last root= of a kernel's command line, or an empty string."""
    return next(
        (
            argument.removeprefix("root=")
            for argument in reversed(arguments)
            if argument.startswith("root=")
        ),
        "",
    )


def find(value: str, devices: Sequence[BlockDevice]) -> BlockDevice | None:
    """The device that the value of root= names: a tag of mount(8), a name below /dev/disk, a
    device, a volume as /dev/VG/LV.
    """
    kind, key = _tag(value)
    for device in devices:
        match kind:
            case "UUID":
                is_it = device.uuid.lower() == key.lower()
            case "PARTUUID":
                is_it = device.part_uuid.lower() == key.lower()
            case "LABEL":
                is_it = device.label == key
            case "PARTLABEL":
                is_it = device.part_label == key
            case _:
                is_it = value in device.names or device.path in (value, _mapper_name(value))
        if is_it and key:
            return device
    return None


def _tag(value: str) -> tuple[str, str]:
    for tag in ("UUID", "PARTUUID", "LABEL", "PARTLABEL"):
        for prefix in (f"{tag}=", f"/dev/disk/by-{tag.lower()}/"):
            if value.startswith(prefix):
                return tag, value.removeprefix(prefix).strip('"')
    return "", value


def _mapper_name(value: str) -> str:
    """`/dev/VG/LV` as the device mapper names it (dmsetup(8): a dash in a name is doubled)."""
    parts = value.split("/")
    return (
        f"/dev/mapper/{parts[2].replace('-', '--')}-{parts[3].replace('-', '--')}"
        if len(parts) == 4
        else ""
    )


def findings(
    arguments: Sequence[str], title: str, devices: Sequence[BlockDevice], steps: Steps
) -> tuple[Finding, ...]:
    """What is wrong with the root= of an entry; nothing where no device is known, as in an
    image.
    """
    value = wanted(arguments)
    thing = f"root={value}"
    step = steps.menu(thing)
    if not value:
        message = f"the entry {title!r} names no root file system (root=)"
        return (_root(RootProblem.NONE, thing=thing, message=message, step=step.words),)
    code, why = _misnamed(value, devices)
    if code is not None:
        message = f"the entry {title!r} wants root={value}, {why}"
        return (_root(code, thing=thing, message=message, root=value, by=step),)
    if not devices or not can_be_told(value):
        return ()
    if find(value, devices) is None:
        message = f"the entry {title!r} wants root={value}, and no disk of this guest has that"
        return (_root(RootProblem.MISSING, thing=thing, message=message, root=value, by=step),)
    kind, key = _tag(value)
    same = twins.of(key, devices) if kind == "UUID" else ()
    if same:
        names = " and ".join(device.path for device in same)
        message = f"root={value} is on {names}: which of them is mounted is chance"
        return (_root(RootProblem.TWICE, thing=thing, message=message, by=twins.step(same)),)
    return ()


def unknown(arguments: Sequence[str], uuid: str, fstab: str) -> str:
    """That an image's root= may name a disk which the guest will not have; empty for the file
    system `uuid`, which it has, and for one of its `fstab`.
    """
    kind, key = _tag(wanted(arguments))
    if kind != "UUID" or key.lower() in (uuid.lower(), "") or key in fstab:
        return ""
    return f"whether this guest will have the file system of root=UUID={key}"


def _misnamed(value: str, devices: Sequence[BlockDevice]) -> tuple[RootProblem | None, str]:
    """What is wrong with a name that no disk of this guest can have, known or not."""
    if disk_names.is_builders(value):
        return RootProblem.OF_BUILDER, "a disk of the machine that built this image"
    if not devices and disk_names.is_of_another_bus(value):
        return RootProblem.OF_ANOTHER_BUS, "and the disks of this guest are xvd*"
    return None, ""


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
                programs.append("mdadm")
        device = below.get(device.parent)
    return Way(drivers=tuple(dict.fromkeys(drivers)), programs=tuple(dict.fromkeys(programs)))


def fstab_type(text: str) -> str:
    """The type that fstab gives the root file system, or an empty string."""
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    return next((fields[2] for fields in rows if len(fields) >= 3 and fields[1] == "/"), "")


def can_be_told(value: str) -> bool:
    """Whether the disks alone can tell: not for NFS, ZFS, names that only udev's rules make, or
    an offset from a partition.
    """
    kind, key = _tag(value)
    if kind:
        return "/" not in key and "\\" not in key
    return value.startswith("/dev/") and not value.startswith(
        ("/dev/nfs", "/dev/ram", "/dev/root", "/dev/disk/", "/dev/md/")
    )
