# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a tree shows its file systems as the guest will see them: from their top, and not
from a directory of the builder's.

GRUB's tools take the UUID of the file system that a path lies on, and the path from its top. For a
directory of the machine that builds an image, and for a bind mount of one, both are the builder's,
and no guest finds them.
"""

import os
from collections.abc import Sequence

from guest_hooks.errors import LackingError
from guest_hooks.formats import fstab
from guest_hooks.machine import guest, mounts
from guest_hooks.machine.boot_mounts import entries, ways
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root

INIT_MOUNTS = "/proc/1/mountinfo"
INIT_ROOT = "/proc/1/root"
_NEXT = (
    "mount the image's own file system and name its mount point with --root; or leave it to the"
    " guest's first boot: xen-guest-bootloader sync"
)


def require(root: Root, table: Sequence[Mount]) -> None:
    """Raise `LackingError` for a tree of which `/`, or a mount on the way to the boot files, is
    a directory of another file system.

    `table` are the mounts of this root, as this process names them. What the running guest has
    mounted is right by itself.
    """
    top = os.path.realpath(root.path)
    first = mounts.covering(table, top)
    odd = [mount for mount in _on_the_way(root, table, top) if _place(mount, first) != "/"]
    if first is None or not odd or not _is_build(root):
        return
    # A container's / is always a directory of the host's; a /boot on a disk of its own is not.
    if guest.is_container(root).holds:
        odd = [
            mount
            for mount in odd
            if mount is not first or mounts.covering(table, os.path.realpath("/boot")) is first
        ]
    lines = entries(root)
    for mount in odd:
        point = f"/{mount.mountpoint.removeprefix(top).strip('/')}"
        if not _is_the_guests(root, mount, fstab.at(lines, point)):
            raise LackingError(
                f"{root.outside(point)} is {mount.root} of the file system on {mount.source}, not"
                " the top of its own: its UUID and paths are not those that the guest will see",
                hint=_NEXT,
            )


def _on_the_way(root: Root, table: Sequence[Mount], top: str) -> list[Mount]:
    """The mounts that `/` and the boot files lie on, each once."""
    paths = [top, *(os.path.realpath(root.outside(path)) for path in ways(root))]
    found = {
        mount.mountpoint: mount
        for path in paths
        if (mount := mounts.covering(table, path)) is not None
    }
    return list(found.values())


def _place(mount: Mount, first: Mount | None) -> str:
    """Where in its file system the mount's top is; `/` for a directory of `first` that is bound
    to itself.
    """
    is_same = first is not None and (mount.device_number, mount.root) == (
        first.device_number,
        first.place(mount.mountpoint),
    )
    return "/" if is_same and mount is not first else mount.root


def _is_build(root: Root) -> bool:
    """Whether this is not the tree that the running system booted from; where not even root may
    see init's, it may not be.
    """
    return (
        not root.is_live
        or guest.is_chroot(root).holds
        or guest.is_container(root).holds
        or _is_init_hidden()
    )


def _is_init_hidden() -> bool:
    try:
        os.stat(INIT_ROOT)
    except PermissionError:
        return os.geteuid() == 0
    except OSError:
        return False
    return False


def _is_the_guests(root: Root, mount: Mount, entry: fstab.Entry | None) -> bool:
    """Whether the guest mounts the same itself: as its fstab says, or where that says nothing,
    a subvolume of a disk of its own.
    """
    if entry is not None and "bind" in entry.options:
        return True
    if mount.subvolume != mount.root:
        return False
    if entry is not None and entry.subvolume:
        return entry.subvolume == mount.root
    return not any(mount.device_number == other.device_number for other in _builders(root))


def _builders(root: Root) -> tuple[Mount, ...]:
    """What is mounted at `/` of the machine that builds the image."""
    if not root.is_live:
        table = mounts.here()
    else:
        try:
            with open(INIT_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
                table = mounts.parse(file.read())
        except OSError:
            return ()
    return tuple(mount for mount in table if mount.mountpoint == "/")
