# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB has to know of a tree's file systems, told without running anything of the tree,
which may be hostile.
"""

import os
from collections.abc import Mapping

from guest_hooks.machine import mounts, tree_disks
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root
from guest_hooks.machine.tree_disks import TreeDisk

GRUB_FS = {"ext2": "ext2", "ext3": "ext2", "ext4": "ext2", "xfs": "xfs", "btrfs": "btrfs"}
"""The kernel's name of a file system, and GRUB's module for it (grub-probe --target=fs)."""


def facts(root: Root, path: str) -> Mapping[str, str] | None:
    """As `grub_tools.facts` for a plain disk with a usual file system; None for all else, on
    which only GRUB itself has a word.
    """
    place = os.path.realpath(root.outside(root.resolve(path)))
    mount = mounts.covering(mounts.of(root), place)
    disk = _disk(root, mount) if mount is not None else None
    if (
        mount is None
        or disk is None
        or disk.is_volume
        or not disk.uuid
        or mount.fs_type not in GRUB_FS
    ):
        return None
    below = place.removeprefix(mount.mountpoint).strip("/")
    return {
        "fs_uuid": disk.uuid,
        "abstraction": "",
        "drive": "",
        "partmap": " ".join(disk.partition_maps),
        "fs": GRUB_FS[mount.fs_type],
        "path": "/" + "/".join(part for part in (mount.root.strip("/"), below) if part),
    }


def _disk(root: Root, mount: Mount) -> TreeDisk | None:
    return next(
        (
            disk
            for disk in tree_disks.of(root)
            if any(_at(root, path) == mount.mountpoint for path in disk.paths)
        ),
        None,
    )


def _at(root: Root, path: str) -> str:
    return os.path.realpath(root.path + path)
