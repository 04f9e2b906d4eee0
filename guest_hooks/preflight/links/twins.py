# SPDX-License-Identifier: GPL-3.0-or-later
"""Two disks that bear one UUID, as a clone that is attached to its original does. Pure."""

from collections.abc import Container, Sequence

from guest_hooks.preflight.links import stage1
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import NextStep
from guest_hooks.problems.boot import Stage1Problem
from guest_hooks.problems.row import Actor, Severity
from guest_hooks.records import replace
from guest_hooks.volumes import BlockDevice

_COMMANDS = {
    "ext2": "tune2fs -U random",
    "ext3": "tune2fs -U random",
    "ext4": "tune2fs -U random",
    "xfs": "xfs_admin -U generate",
    "btrfs": "btrfstune -u",
}
UUID = "uuid"
_WHAT = {
    UUID: "UUID",
    "label": "label",
    "part_uuid": "partition UUID",
    "part_label": "partition label",
}


def of(key: str, devices: Sequence[BlockDevice], field: str = UUID) -> tuple[BlockDevice, ...]:
    """The devices with file systems of their own that have `key` in `field` (a UUID, a label, or
    those of a partition), if they are several.

    The members of one btrfs bear one UUID, and so does a volume on the device that it shows.
    """
    fold = str.lower if field in (UUID, "part_uuid") else str
    same = [device for device in devices if key and fold(getattr(device, field)) == fold(key)]
    apart = [device for device in same if not any(_is_on(device, other, devices) for other in same)]
    if len(apart) < 2 or {device.fs_type for device in apart} == {"btrfs"}:
        return ()
    return tuple(apart)


def findings(uuid: str, devices: Sequence[BlockDevice], own: Container[str]) -> tuple[Finding, ...]:
    """That `uuid`, of /boot's file system, is on another device than its `own`; a doubt where that
    one is listed first.
    """
    same = of(uuid, devices)
    if not same:
        return ()
    found = Finding.of(
        Stage1Problem.UUID_TWICE,
        link=Link.STAGE1,
        thing=next((each.path for each in same if each.path not in own), same[0].path),
        message=(
            f"{' and '.join(each.path for each in same)} bear the UUID {uuid} of /boot's file"
            " system, and GRUB takes the one that is listed first"
        ),
        by=step(same),
    )
    is_first = next(iter(stage1.order(same))) in own
    return (replace(found, severity=Severity.WARNING, stops=False) if is_first else found,)


def step(twins: Sequence[BlockDevice], field: str = UUID) -> NextStep:
    """What tells them apart again; nobody is to detach a disk that is mounted."""
    is_changeable = field != UUID or any(device.fs_type in _COMMANDS for device in twins)
    words = "unmount all but this guest's own, and detach what is not this guest's"
    idle = [device for device in twins if not any(device.mountpoints)]
    for other in idle[-1:]:
        words = f"detach {other.path}"
        if field != UUID:
            words = f"give it another {_WHAT[field]}, or {words}"
        elif command := _COMMANDS.get(other.fs_type):
            words = f"give it another UUID: {command} {other.path}; or {words}"
    return NextStep(words=words, actor=Actor.GUEST if is_changeable else Actor.HOST)


def _is_on(device: BlockDevice, other: BlockDevice, devices: Sequence[BlockDevice]) -> bool:
    """Whether `device` is a volume on `other`, directly or not."""
    by_name = {each.path.rpartition("/")[2]: each for each in devices}
    for _ in devices:
        below = by_name.get(device.parent)
        if below is None or below is device:
            return False
        if below.path == other.path:
            return True
        device = below
    return False
