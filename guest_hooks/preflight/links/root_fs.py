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
from guest_hooks.records import dataclass, replace
from guest_hooks.volumes import BlockDevice

_root = partial(Finding.of, link=Link.ROOT)
_EXT = frozenset({"ext2", "ext3", "ext4"})
_SAME_DRIVER = dict.fromkeys(_EXT, _EXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between a kernel and its root: drivers, and programs of the initrd."""

    drivers: tuple[Driver, ...]
    programs: tuple[str, ...] = ()


def wanted(arguments: Sequence[str]) -> str:
    """The value of the last root= of a kernel's command line, or an empty string."""
    return last("root=", arguments)


def last(word: str, arguments: Sequence[str]) -> str:
    """What the last argument that begins with `word` has behind it, or an empty string."""
    given = (each.removeprefix(word) for each in reversed(arguments) if each.startswith(word))
    return next(given, "")


def find(value: str, devices: Sequence[BlockDevice]) -> BlockDevice | None:
    """The device that the value of root= names: a tag of mount(8), a name below /dev/disk, a
    device, a volume as /dev/VG/LV.

    Small and capital letters differ: for blkid(8), by which initramfs-tools looks for a tag, and in
    /dev/disk, where systemd and dracut do.
    """
    kind, key = _tag(value)
    for device in devices:
        match kind:
            case "UUID":
                is_it = device.uuid == key
            case "PARTUUID":
                is_it = device.part_uuid == key
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
    arguments: Sequence[str],
    title: str,
    devices: Sequence[BlockDevice],
    steps: Steps,
    *,
    has_initrd: bool = True,
) -> tuple[Finding, ...]:
    """What is wrong with the root= of an entry; nothing where no device is known, as in an
    image.

    Without an initrd it is the kernel that reads a PARTUUID, in letters of either kind
    (block/early-lookup.c).
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
    kind, key = _tag(value)
    if not has_initrd and kind == "PARTUUID":
        devices = [replace(device, part_uuid=device.part_uuid.lower()) for device in devices]
        value = f"{kind}={key.lower()}"
    if (device := find(value, devices)) is None:
        message = f"the entry {title!r} wants root={value}, and no disk of this guest has that"
        if near := _in_other_letters(kind, key, devices):
            message += f"; {near} has it in other letters, capital or small"
        return (_root(RootProblem.MISSING, thing=thing, message=message, root=value, by=step),)
    same = twins.of(key, devices) if kind == "UUID" else ()
    if same:
        names = " and ".join(device.path for device in same)
        message = f"root={value} is on {names}: which of them is mounted is chance"
        return (_root(RootProblem.TWICE, thing=thing, message=message, by=twins.step(same)),)
    return _of_type(arguments, title, device, steps)


def unknown(arguments: Sequence[str], uuid: str, fstab: str) -> str:
    """That an image's root= may name a disk which the guest will not have; empty for the file
    system `uuid`, which it has, and for one of its `fstab`.
    """
    kind, key = _tag(wanted(arguments))
    if kind != "UUID" or key in (uuid, "") or key in fstab:
        return ""
    return f"whether this guest will have the file system of root=UUID={key}"


def _misnamed(value: str, devices: Sequence[BlockDevice]) -> tuple[RootProblem | None, str]:
    """What is wrong with a name that no disk of this guest can have, known or not."""
    if disk_names.is_builders(value):
        return RootProblem.OF_BUILDER, "a disk of the machine that built this image"
    if not devices and disk_names.is_of_another_bus(value):
        return RootProblem.OF_ANOTHER_BUS, "and the disks of this guest are xvd*"
    return None, ""


def _of_type(
    arguments: Sequence[str], title: str, device: BlockDevice, steps: Steps
) -> tuple[Finding, ...]:
    """That rootfstype= names other types than `device` has: the initrd gives mount(8) no other."""
    named = last("rootfstype=", arguments)
    types = set(named.split(",")) - {"auto", ""}
    same = _SAME_DRIVER.get(device.fs_type, {device.fs_type})
    if not types or not device.fs_type or not types.isdisjoint(same):
        return ()
    thing = f"rootfstype={named}"
    step = steps.menu(thing)
    message = f"the entry {title!r} has {thing}, and {device.path} is {device.fs_type}"
    found = _root(
        RootProblem.TYPE_DIFFERS, thing=thing, message=message, device=device.path, by=step
    )
    return (found,)


def _in_other_letters(kind: str, key: str, devices: Sequence[BlockDevice]) -> str:
    """The disk that has the UUID `key`, but for small and capital letters."""
    field = {"UUID": "uuid", "PARTUUID": "part_uuid"}.get(kind)
    return next(
        (each.path for each in devices if field and getattr(each, field).lower() == key.lower()), ""
    )


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
