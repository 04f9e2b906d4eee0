# SPDX-License-Identifier: GPL-3.0-or-later
"""Two disks that bear one UUID, as a clone that is attached to its original does. Pure."""

from collections.abc import Sequence

from guest_hooks.machine.block_devices import BlockDevice
from guest_hooks.problems.row import Actor

_COMMANDS = {
    "ext2": "tune2fs -U random",
    "ext3": "tune2fs -U random",
    "ext4": "tune2fs -U random",
    "xfs": "xfs_admin -U generate",
    "btrfs": "btrfstune -u",
}


def of(uuid: str, devices: Sequence[BlockDevice]) -> tuple[BlockDevice, ...]:
    """The devices with file systems of their own that bear `uuid`, if they are several.

    The members of one btrfs bear one UUID, and so does a volume on the device that it shows.
    """
    same = [device for device in devices if uuid and device.uuid.lower() == uuid.lower()]
    apart = [device for device in same if not any(_is_on(device, other, devices) for other in same)]
    if len(apart) < 2 or {device.fs_type for device in apart} == {"btrfs"}:
        return ()
    return tuple(apart)


def step(twins: Sequence[BlockDevice]) -> str:
    """What tells them apart again; nobody is to detach a disk that is mounted."""
    idle = [device for device in twins if not any(device.mountpoints)]
    if not idle:
        return "unmount all but this guest's own, and detach what is not this guest's"
    other = idle[-1]
    command = _COMMANDS.get(other.fs_type)
    detach = f"detach {other.path}"
    return f"give it another UUID: {command} {other.path}; or {detach}" if command else detach


def actor(twins: Sequence[BlockDevice]) -> Actor:
    """Who takes the step."""
    return Actor.GUEST if any(device.fs_type in _COMMANDS for device in twins) else Actor.HOST


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
