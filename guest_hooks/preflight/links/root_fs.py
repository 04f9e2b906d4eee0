# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the root file system that a kernel's command line names is there. Pure."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from guest_hooks.formats import disk_names
from guest_hooks.formats.fstab import mounts
from guest_hooks.formats.grub_test import UNKNOWN
from guest_hooks.preflight.links import twins
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.boot import RootProblem
from guest_hooks.records import replace
from guest_hooks.volumes import BlockDevice

_root = partial(Finding.of, link=Link.ROOT)
_FIELDS = {"UUID": "uuid", "PARTUUID": "part_uuid", "LABEL": "label", "PARTLABEL": "part_label"}
"""What each tag of mount(8) is compared with."""
_TAGS_OF_LINUX = ("PARTUUID", "PARTLABEL")
"""Those that Linux itself reads, without an initrd (block/early-lookup.c)."""
_CANNOT_OPEN = "VFS: Cannot open root device"
"""Linux init/do_mounts.c"""
_DISK = re.compile(r"(?:block:)?((?:xvd|[vsh]d|md|dm-|nvme|mmcblk|mapper/|disk/)[a-z0-9/_-]*)")
"""What is a disk's name but for /dev/ (dracut modules.d/*rootfs-block/parse-block.sh knows
`block:`).
"""
_BY_UDEV = ("/dev/disk/", "/dev/md/")
_NO_DISKS = ("/dev/nfs", "/dev/ram", "/dev/root")
HasSubvolume = Callable[[BlockDevice, str], bool | None]
"""Whether a btrfs has a subvolume of this path; None where that can't be told."""


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
        is_it = value in device.names or device.path in (value, _mapper_name(value))
        if key and (is_it or (kind and getattr(device, _FIELDS[kind]) == key)):
            return device
    return None


def _tag(value: str) -> tuple[str, str]:
    for tag in _FIELDS:
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


def findings(  # noqa: PLR0913 - a root is held against all of these
    arguments: Sequence[str],
    title: str,
    devices: Sequence[BlockDevice],
    steps: Steps,
    *,
    are_all: bool = True,
    has_initrd: bool = True,
    has_subvolume: HasSubvolume = lambda _device, _path: None,
) -> tuple[Finding, ...]:
    """What is wrong with the root= of an entry; the `devices` may not be all, as of an image.

    Without an initrd it is the kernel that reads the name.
    """
    value = wanted(arguments)
    if UNKNOWN in value:
        return ()
    thing = f"root={value}"
    if not has_initrd:
        value, devices = _as_linux_reads(value, devices)
    device = find(value, devices)
    found = _of_name(value, title, devices if are_all else (), steps, has_initrd=has_initrd)
    if not found and are_all and can_be_told(value, devices):
        found = _of_disk(value, title, devices, steps)
    if device is not None and not found:
        found = (
            _without_files(title, thing, device, devices, steps)
            or _of_type(arguments, title, device, steps)
            or _of_subvolume(arguments, title, device, steps, has_subvolume)
        )
    if has_initrd:
        return found
    return tuple(replace(each, console=_CANNOT_OPEN) if each.console else each for each in found)


def _as_linux_reads(
    value: str, devices: Sequence[BlockDevice]
) -> tuple[str, Sequence[BlockDevice]]:
    """A partition's UUID in small letters: Linux itself takes letters of either kind."""
    kind, key = _tag(value)
    if kind != "PARTUUID":
        return value, devices
    small = [replace(device, part_uuid=device.part_uuid.lower()) for device in devices]
    return f"{kind}={key.lower()}", small


def _of_name(
    value: str, title: str, devices: Sequence[BlockDevice], steps: Steps, *, has_initrd: bool
) -> tuple[Finding, ...]:
    """What is wrong with the name `value`, whatever disks there are."""
    thing = f"root={value}"
    if not value:
        message = f"the entry {title!r} names no root file system (root=)"
        step = steps.menu(thing).words
        return (_root(RootProblem.NONE, thing=thing, message=message, step=step),)
    code, why = _misnamed(value, devices)
    kind, _ = _tag(value)
    if code is None and not has_initrd and kind and kind not in _TAGS_OF_LINUX:
        code, why = RootProblem.MISSING, "which Linux can't look for without an initrd"
    if code is None:
        return ()
    message = f"the entry {title!r} wants {thing}, {why}"
    return (_root(code, thing=thing, message=message, root=value, by=steps.menu(thing)),)


def _of_disk(
    value: str, title: str, devices: Sequence[BlockDevice], steps: Steps
) -> tuple[Finding, ...]:
    """That no disk is what `value` names, or several are."""
    kind, key = _tag(value)
    thing = f"root={value}"
    if find(value, devices) is None:
        message = f"the entry {title!r} wants root={value}, and no disk of this guest has that"
        if near := _in_other_letters(kind, key, devices):
            message += f"; {near} has it in other letters, capital or small"
        step = steps.menu(thing)
        return (_root(RootProblem.MISSING, thing=thing, message=message, root=value, by=step),)
    same = twins.of(key, devices, _FIELDS[kind]) if kind else ()
    if not same:
        return ()
    names = " and ".join(device.path for device in same)
    message = f"root={value} is on {names}: which of them is mounted is chance"
    by = twins.step(same, _FIELDS[kind])
    return (_root(RootProblem.TWICE, thing=thing, message=message, by=by),)


def unknown(arguments: Sequence[str], uuid: str, fstab: str, devices: Sequence[BlockDevice]) -> str:
    """What is not known of root=: whether an image's guest will have the disk, unless it is the
    file system `uuid`, which it has, or one of its `fstab`; what a name means that no disk has.
    """
    value = wanted(arguments)
    kind, key = _tag(value)
    if UNKNOWN in value:
        return "what root= is: grub.cfg decides that while it runs"
    if not value or _misnamed(value, devices)[0] is not None:
        return ""
    if devices:
        is_told = can_be_told(value, devices) or find(value, devices) is not None
        return "" if is_told else f"what root={value} is: no disk has that name now"
    is_own = kind == "UUID" and key == uuid
    if is_own or not key or key in fstab or value.startswith(_NO_DISKS):
        return ""
    return f"whether this guest will have the file system of root={value}"


def _misnamed(value: str, devices: Sequence[BlockDevice]) -> tuple[RootProblem | None, str]:
    """What is wrong with a name that no disk of this guest can have, known or not."""
    if disk_names.is_builders(value):
        return RootProblem.OF_BUILDER, "a disk of the machine that built this image"
    is_left_open = not devices or not (can_be_told(value, devices) or find(value, devices))
    if is_left_open and disk_names.is_of_another_bus(value):
        return RootProblem.OF_ANOTHER_BUS, "and the disks of this guest are xvd*"
    tag, equals, _ = value.partition("=")
    if equals and tag not in _FIELDS and tag.upper() in _FIELDS:
        return RootProblem.MISSING, f"and {tag.upper()}= has capital letters"
    if (name := _DISK.fullmatch(value)) and not value.startswith("block:"):
        return RootProblem.NOT_A_PATH, f"and the name of a disk is /dev/{name[1]}"
    return None, ""


def _without_files(
    title: str, thing: str, device: BlockDevice, devices: Sequence[BlockDevice], steps: Steps
) -> tuple[Finding, ...]:
    """That there is no file system on `device` itself."""
    if "/" in device.mountpoints or device.has_file_system:
        return ()
    name = device.path.rpartition("/")[2]
    is_divided = any(other.parent == name and other.type == "part" for other in devices)
    if not device.fs_type and not is_divided:
        return ()  # udev may not know the type
    what = device.fs_type or "a disk with partitions"
    message = f"the entry {title!r} wants {thing}, and {device.path} is {what}"
    step = steps.menu(thing)
    found = _root(RootProblem.NO_FILES, thing=thing, message=message, device=device.path, by=step)
    if device.fs_type:
        return (found,)
    words = RootProblem.MISSING.row.console.format(root=thing.removeprefix("root="))
    return (replace(found, console=words),)


def _of_subvolume(
    arguments: Sequence[str],
    title: str,
    device: BlockDevice,
    steps: Steps,
    has_subvolume: HasSubvolume,
) -> tuple[Finding, ...]:
    """That rootflags= names a subvolume which a btrfs does not have."""
    name = subvolume(arguments)
    if device.fs_type != "btrfs" or not name or has_subvolume(device, name) is not False:
        return ()
    thing = f"subvol={name.strip('/')}"
    step = steps.menu(thing)
    message = f"the entry {title!r} wants the subvolume {name}, which {device.path} does not have"
    code = RootProblem.NO_SUBVOLUME
    return (_root(code, thing=thing, message=message, device=device.path, by=step),)


def subvolume(arguments: Sequence[str]) -> str:
    """The subvolume that rootflags= names, as a path from the top; empty where it names none."""
    options = last("rootflags=", arguments).split(",")
    given = [each.removeprefix("subvol=") for each in options if each.startswith("subvol=")]
    return f"/{given[-1].strip('/')}" if given and given[-1].strip("/") else ""


def _of_type(
    arguments: Sequence[str], title: str, device: BlockDevice, steps: Steps
) -> tuple[Finding, ...]:
    """That rootfstype= names other types than `device` has: the initrd gives mount(8) no other."""
    named = last("rootfstype=", arguments)
    types = set(named.split(",")) - {"auto", ""}
    if not types or not device.fs_type or any(mounts(each, device.fs_type) for each in types):
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
    field = _FIELDS.get(kind)
    return next(
        (each.path for each in devices if field and getattr(each, field).lower() == key.lower()), ""
    )


def can_be_told(value: str, devices: Sequence[BlockDevice]) -> bool:
    """Whether the disks alone can tell: not for NFS, ZFS, an offset from a partition; for names
    that udev's rules make, where they have made some.
    """
    kind, key = _tag(value)
    if kind and "/" not in key and "\\" not in key:
        return True
    if value.startswith(_BY_UDEV):
        return any(name.startswith(_BY_UDEV) for device in devices for name in device.names)
    return not kind and value.startswith("/dev/") and not value.startswith(_NO_DISKS)
