# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's pv-grub calls the disk with the second stages: it counts the disks that the host
gives the guest, which the kernel shows as whole disks, whatever their names.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress

from guest_hooks.formats import fstab, vbd
from guest_hooks.machine import tree_disks
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem

BLOCK = "/sys/block"
"""A directory for each whole disk: one that the host calls xvda1 is one, too."""
FSTAB = "/etc/fstab"
_IN_AN_IMAGE = re.compile(r"/dev/(?:loop\d+|[vsh]d[a-z])(?:p?(?P<part>\d+))?")
"""A disk as the host of an image shows it: the guest's first, as far as anybody knows."""


def drive(root: Root, boot: BootFilesystem, disks: Iterable[str] = ()) -> str:
    """pv-grub's name of the disk with /boot/xen, `(hd1)` or `(hd0,0)`; empty where it has none, or
    that is not known. `disks` are the guest's whole disks where the caller knows them.
    """
    device = boot.xen_place.device
    if boot.drive:
        return ""
    if (root.is_live or disks) and vbd.parse(device) is not None:
        return vbd.legacy_drive(device, disks or _here())
    return _in_a_tree(root, device)


def _here() -> tuple[str, ...]:
    with suppress(OSError):
        return tuple(name for name in os.listdir(BLOCK) if vbd.parse(name) is not None)
    return ()


def _in_a_tree(root: Root, device: str) -> str:
    """By the names in the tree's fstab; else as the only disk, or by the letter of its name."""
    table = root.read_text(FSTAB) or ""
    named = [entry.what for entry in fstab.disks(table)]
    places = fstab.parse(table)
    own = next(
        (
            entry.what
            for where in ("/boot", "/")
            if (entry := fstab.at(places, where)) and vbd.parse(entry.what)
        ),
        device,
    )
    found = vbd.parse(own)
    if found is None:
        shown = _IN_AN_IMAGE.fullmatch(device)
        part = shown["part"] if shown else None
        return "" if shown is None else f"(hd0,{int(part) - 1})" if part else "(hd0)"
    if own != device and not _has_partitions(root, device):
        return vbd.legacy_drive(own, [name for name in named if vbd.parse(name)])
    return f"(hd{found.disk},{found.partition - 1})" if found.partition else f"(hd{found.disk})"


def _has_partitions(root: Root, device: str) -> bool:
    return any(disk.partition_maps for disk in tree_disks.of(root) if disk.source == device)
