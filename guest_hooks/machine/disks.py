# SPDX-License-Identifier: GPL-3.0-or-later
"""The file systems behind /boot as GRUB will find them.

grub-probe and grub-mkrelpath are asked; what an ordinary user may not ask them, mountinfo and
udev's database tell or nothing does.
"""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from guest_hooks.errors import LackingError
from guest_hooks.machine import boot_features, boot_mounts, grub_tools, mounts, tree_place
from guest_hooks.machine.grub_answers import Answers
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError
from guest_hooks.model import BootFilesystem, Place, Unreadable
from guest_hooks.paths import BOOT, BOOT_XEN, GRUB_DIR
from guest_hooks.records import dataclass

if TYPE_CHECKING:
    import pyudev

DIRECTORIES = (BOOT, GRUB_DIR, BOOT_XEN)
VOLUMES = ("dm-", "md")
"""The kernel's names of LVM's and LUKS' devices, and of RAID's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lying:
    """Where a directory lies: `there` is what exists of its path (`outside`: as we name it,
    links followed), `below` the rest.
    """

    mount: Mount
    there: str
    outside: str
    below: str


def boot_filesystem(root: Root, answers: Answers | None = None) -> BootFilesystem:
    """The file systems of /boot, /boot/grub and /boot/xen, as GRUB will have to find them; what it
    has said of them before is in `answers`.

    Raises `LackingError` where /boot is missing, where what the guest's boot mounts on the way is
    not mounted, where the tree shows no file system of its own, or one whose disk GRUB can't find.
    """
    boot_mount(root)
    inside = "" if root.is_live else os.path.realpath(root.path)
    table = mounts.of(root)
    lying = {path: _lying(root, table, path) for path in DIRECTORIES}
    known, unreadable = _asked(root, lying, answers) if os.geteuid() == 0 else ({}, None)
    boot, grub, xen = (_place(lying[path], known.get(path)) for path in DIRECTORIES)
    own, told = lying[BOOT].mount, known.get(GRUB_DIR, {})
    return BootFilesystem(
        mountpoint=own.mountpoint.removeprefix(inside) or "/",
        device=own.source,
        fs_type=own.fs_type,
        fs_uuid=boot.fs_uuid,
        grub_dir=grub.path,
        drive=told["drive"] if told and told["abstraction"] else "",
        modules=_modules(told),
        boot_dir=boot.path,
        top=own.root,
        grub=grub,
        xen=xen,
        is_known=bool(told or grub.fs_uuid),
        unreadable=unreadable,
    )


def _asked(
    root: Root, lying: Mapping[str, _Lying], kept: Answers | None
) -> tuple[dict[str, Mapping[str, str]], Unreadable | None]:
    """GRUB's word on each directory, or on what is there of its path; and what it can't read."""
    groups: dict[str, list[str]] = {}
    for path, each in lying.items():
        groups.setdefault(each.mount.mountpoint, []).append(path)
    order = [path for paths in groups.values() for path in paths]
    devices = dict.fromkeys(each.mount.source for each in lying.values())
    try:
        answers = grub_tools.facts(
            root, [[lying[path].there for path in paths] for paths in groups.values()], kept
        )
    except CommandError as error:
        unreadable = boot_features.unreadable(root, devices, is_refused=True)
        if unreadable is None and any(
            grub_tools.refuses(root, each.there) for each in lying.values()
        ):
            version = boot_features.own_version(root)
            unreadable = Unreadable(features=(), version=version, words=error.said)
        if unreadable is not None:
            return _by_superblocks(lying), unreadable
        path = _untold(root, lying)
        mount, outside = lying[path].mount, root.outside(path)
        where = shlex.quote(outside)
        raise LackingError(
            f"GRUB cannot read the file system of {outside} ({mount.fs_type} on"
            f" {mount.source}): {error.said}",
            hint=f"see what it is with: findmnt -T {where}; grub-probe -v {where}",
        ) from error
    # A tree's own GRUB is not run: what it reads, its version tells.
    unreadable = None if root.is_live else boot_features.unreadable(root, devices)
    return dict(zip(order, answers, strict=True)), unreadable


def _untold(root: Root, lying: Mapping[str, _Lying]) -> str:
    """The first directory of which GRUB's tools can't tell."""
    for path, each in lying.items():
        try:
            grub_tools.facts(root, [[each.there]])
        except CommandError:
            return path
    return BOOT  # they were interrupted, or the disk answers again


def _by_superblocks(lying: Mapping[str, _Lying]) -> dict[str, Mapping[str, str]]:
    """What GRUB would say of plain disks if it could read them; nothing where a superblock does
    not tell, or GRUB's name of a volume is needed.
    """
    from guest_hooks.machine import tree_facts  # noqa: PLC0415 - a running guest's GRUB reads it

    found: dict[str, Mapping[str, str]] = {}
    for path, each in lying.items():
        device = each.mount.source
        with suppress(OSError):
            uuid = "" if _is_volume(device) else mounts.device_uuid(device)
            if uuid:
                found[path] = {
                    "fs_uuid": uuid,
                    "abstraction": "",
                    "drive": "",
                    "partmap": "msdos gpt",
                    "fs": tree_facts.GRUB_FS.get(each.mount.fs_type, ""),
                    "path": each.mount.place(each.outside),
                }
    return found


def _is_volume(device: str) -> bool:
    return os.path.basename(os.path.realpath(device)).startswith(VOLUMES)


def _lying(root: Root, table: tuple[Mount, ...], path: str) -> _Lying:
    there, below = path, ""
    while not root.exists(there):
        there, name = os.path.split(there)
        below = f"/{name}{below}"
    outside = os.path.realpath(root.outside(root.resolve(there)))
    mount = mounts.covering(table, outside)
    if mount is None:
        raise LackingError(
            f"{root.outside(path)} lies on no mounted file system",
            hint=f"see: findmnt -T {shlex.quote(root.outside(there))}",
        )
    return _Lying(mount=mount, there=there, outside=outside, below=below)


def _place(lying: _Lying, known: Mapping[str, str] | None) -> Place:
    path = known["path"] if known else lying.mount.place(lying.outside)
    return Place(
        device=lying.mount.source,
        fs_type=lying.mount.fs_type,
        fs_uuid=(known["fs_uuid"] if known else "") or _udev_uuid(lying.mount),
        path=(path.rstrip("/") + lying.below) or "/",
    )


def _modules(known: Mapping[str, str]) -> tuple[str, ...]:
    """GRUB's modules for this file system, partition map and abstraction."""
    if not known:
        return ()
    maps = (f"part_{name}" for name in known["partmap"].split())
    return tuple(dict.fromkeys([*known["fs"].split(), *maps, *known["abstraction"].split()]))


def boot_mount(root: Root) -> Mount:
    """The mount that /boot lies on.

    Raises `LackingError` where none belongs to this root, where what the guest's boot mounts on the
    way to the boot files is not mounted, and where the tree shows another file system than the
    guest will see.
    """
    if not root.exists(BOOT):
        raise LackingError(f"there is no {root.outside(BOOT)}", hint="mount the guest's disk first")
    with suppress(OSError):  # what can't be mounted on demand is seen by what is mounted then
        root.exists(f"{BOOT_XEN}/.")
    table = mounts.of(root)
    boot_mounts.require(root, table)
    mount = mounts.covering(table, os.path.realpath(root.outside(root.resolve(BOOT))))
    if mount is None or mounts.covering(table, os.path.realpath(root.path)) is None:
        raise LackingError(
            f"{root.path} is not the top of a mounted file system, so the UUID its guest will see"
            " is not known",
            hint="mount the image and name its mount point",
        )
    tree_place.require(root, table)
    return mount


def root_device(root: Root) -> str:
    """What the file system at the top of `root` is mounted from; empty where nothing is mounted
    there.
    """
    mount = mounts.covering(mounts.of(root), os.path.realpath(root.path))
    return mount.source if mount is not None else ""


def root_uuid(root: Root) -> str:
    """The UUID of the file system at the top of `root`, by its superblock or by udev; empty
    where neither tells.
    """
    mount = mounts.covering(mounts.of(root), os.path.realpath(root.path))
    if mount is None:
        return ""
    try:
        return mounts.device_uuid(mount.source)
    except OSError:
        device = _udev_device(mount)
        return "" if device is None else _fs_uuid(device)


def require_writable(root: Root) -> None:
    """Raise `LackingError` where a file system of the boot files is mounted read-only."""
    boot_mount(root)
    table = mounts.of(root)
    for mount in dict.fromkeys(_lying(root, table, path).mount for path in DIRECTORIES):
        if mount.is_read_only:
            raise LackingError(
                f"{mount.mountpoint} is mounted read-only",
                hint=f"mount -o remount,rw {shlex.quote(mount.mountpoint)}",
            )


def _udev_uuid(mount: Mount) -> str:
    """What udev has on record; empty for a volume, which GRUB does not find by its file
    system's UUID.
    """
    device = _udev_device(mount)
    return "" if device is None or device.sys_name.startswith(VOLUMES) else _fs_uuid(device)


def _udev_device(mount: Mount) -> "pyudev.Device | None":
    import pyudev  # noqa: PLC0415 - loading libudev costs more than most runs

    try:
        status = os.stat(mount.source)
        return pyudev.Devices.from_device_number(pyudev.Context(), "block", status.st_rdev)
    except (OSError, pyudev.DeviceNotFoundError):
        return None


def _fs_uuid(device: "pyudev.Device") -> str:
    return str(device.properties.get("ID_FS_UUID", ""))
