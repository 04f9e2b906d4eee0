# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an entry takes its files from: on /boot's file system, on another, or on none. Pure.

Sources: GRUB grub-core/commands/search.c, grub-core/disk/xen/xendisk.c, grub-core/kern/disk.c.
"""

import re
from collections.abc import Sequence

from guest_hooks.formats.grub_entry import ELSE
from guest_hooks.model import BootFilesystem
from guest_hooks.records import dataclass, replace
from guest_hooks.volumes import BlockDevice

_XEN = re.compile(r"xen/([a-z0-9]+)(?:,[a-z]*(\d+))?")
_NO_GUESTS = re.compile(r"(?:hd|fd|cd|ata|ahci|usb|scsi)\d+(?:,\w+)*|hostdisk/.*")
"""Disks of a PC's firmware: a PV or PVH guest's GRUB knows those of Xen alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entry loads from: `is_here` is on /boot's file system, `missing` the name of one
    that is looked for in vain, `gone` that of a disk which is not there.
    """

    is_here: bool
    is_known: bool = True
    missing: str = ""
    gone: str = ""


def place(root: str, filesystem: BootFilesystem, devices: Sequence[BlockDevice]) -> Place:
    """Where an entry takes its files from while $root is `root`, as in `Boot.device`.

    A search that finds nothing leaves $root as it was: in the end on the file system where grub.cfg
    is.
    """
    missing = ""
    for name in root.split(ELSE):
        found = _place(name, filesystem, devices)
        if not found.missing:
            return replace(found, missing=missing)
        missing = missing or found.missing
    return Place(is_here=True, missing=missing)


def _place(name: str, filesystem: BootFilesystem, devices: Sequence[BlockDevice]) -> Place:
    kind, _, key = name.partition("/")
    match kind:
        case "boot" | "":
            return Place(is_here=True)
        case "fs-uuid" | "label":
            return _sought(kind, key, filesystem, devices)
        case _:
            return _disk(name, filesystem, devices)


def _sought(
    kind: str, key: str, filesystem: BootFilesystem, devices: Sequence[BlockDevice]
) -> Place:
    if kind == "fs-uuid" and key.lower() == filesystem.fs_uuid.lower():
        return Place(is_here=True)
    named = [
        device
        for device in devices
        if key.lower() == (device.uuid.lower() if kind == "fs-uuid" else device.label.lower())
    ]
    if any(device.uuid == filesystem.fs_uuid for device in named):
        return Place(is_here=True)
    if named or not (devices or (kind == "fs-uuid" and filesystem.fs_uuid)):
        return Place(is_here=False, is_known=False)
    return Place(is_here=True, missing=key)


def _disk(name: str, filesystem: BootFilesystem, devices: Sequence[BlockDevice]) -> Place:
    """The place that is named by a disk as GRUB calls it."""
    unknown = Place(is_here=False, is_known=False)
    if f"({name})" == filesystem.drive:
        return Place(is_here=True)
    if _NO_GUESTS.fullmatch(name):
        return Place(is_here=False, gone=name)
    if not (xen := _XEN.fullmatch(name)) or not devices:
        return unknown
    disk, part = xen.groups()
    between = "p" if part and disk[-1].isdigit() else ""
    path = f"/dev/{disk}{between}{part or ''}"
    found = next((device for device in devices if device.path == path), None)
    if found is None:
        return Place(is_here=False, gone=name)
    is_own = path == filesystem.device or bool(found.uuid and found.uuid == filesystem.fs_uuid)
    return Place(is_here=True) if is_own else unknown
