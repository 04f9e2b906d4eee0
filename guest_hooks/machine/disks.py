"""The file system behind /boot: mountinfo, udev's database, and grub-probe where GRUB's view can differ."""

import os
from collections.abc import Mapping
from contextlib import suppress

from guest_hooks.errors import LackingError
from guest_hooks.machine import boot_mounts, grub_tools, mounts, tree_place
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Run, run
from guest_hooks.model import BootFilesystem
from guest_hooks.targets import BOOT_XEN

BOOT = "/boot"
VOLUMES = ("dm-", "md")
"""The kernel's names of LVM's and LUKS' devices, and of RAID's."""


def boot_filesystem(root: Root, *, run: Run = run) -> BootFilesystem:
    """The file system that holds /boot, as GRUB will have to find it.

    Raises `LackingError` where /boot is missing, is in fstab and not mounted, or lies on no block device that GRUB can read.
    """
    mount = boot_mount(root)
    inside = "" if root.is_live else os.path.realpath(root.path)
    fs_uuid = _udev_uuid(mount)
    known: Mapping[str, str] = {}
    below = grub_tools.GRUB_DIR if mount.mountpoint in ("/", inside) else grub_tools.GRUB_DIR.removeprefix(BOOT)
    grub_dir = mount.root.rstrip("/") + below
    if os.geteuid() == 0:
        try:
            known = grub_tools.facts(root, BOOT, run=run)
            fs_uuid = known["fs_uuid"] or fs_uuid
            grub_dir = known["path"].rstrip("/") + "/grub"
        except CommandError as error:
            raise LackingError(
                f"GRUB cannot read the file system of {root.outside(BOOT)} ({mount.fs_type} on {mount.source}): {error.said}",
                hint="see what it is with: findmnt -T /boot; grub-probe -v /boot",
            ) from error
    return BootFilesystem(
        mountpoint=mount.mountpoint.removeprefix(inside) or "/",
        device=mount.source,
        fs_type=mount.fs_type,
        fs_uuid=fs_uuid,
        grub_dir=grub_dir,
        drive=known["drive"] if known and known["abstraction"] else "",
        modules=_modules(known),
    )


def _modules(known: Mapping[str, str]) -> tuple[str, ...]:
    """GRUB's modules for this file system, partition map and abstraction."""
    if not known:
        return ()
    maps = (f"part_{name}" for name in known["partmap"].split())
    return tuple(dict.fromkeys([*known["fs"].split(), *maps, *known["abstraction"].split()]))


def boot_mount(root: Root) -> mounts.Mount:
    """The mount that /boot lies on.

    Raises `LackingError` where none belongs to this root, where what the guest's boot mounts on the way to the boot files is not
    mounted, and where the tree shows another file system than the guest will see.
    """
    if not root.exists(BOOT):
        raise LackingError(f"there is no {root.outside(BOOT)}", hint="mount the guest's disk first")
    with suppress(OSError):  # what can't be mounted on demand is seen by what is mounted then
        root.exists(f"{BOOT_XEN}/.")
    table = _mounts(root)
    boot_mounts.require(root, table)
    mount = mounts.covering(table, os.path.realpath(root.outside(root.resolve(BOOT))))
    if mount is None or mounts.covering(table, os.path.realpath(root.path)) is None:
        raise LackingError(
            f"{root.path} is not the top of a mounted file system, so the UUID its guest will see is not known",
            hint="mount the image and name its mount point",
        )
    tree_place.require(root, table)
    return mount


def root_device(root: Root) -> str:
    """What the file system at the top of `root` is mounted from; empty where nothing is mounted there."""
    mount = mounts.covering(_mounts(root), os.path.realpath(root.path))
    return mount.source if mount is not None else ""


def root_uuid(root: Root) -> str:
    """The UUID in the superblock of the file system at the top of `root`; empty where it can't be told."""
    try:
        return mounts.device_uuid(root_device(root))
    except OSError:
        return ""


def require_writable(root: Root) -> None:
    """Raise `LackingError` where /boot is mounted read-only."""
    mount = boot_mount(root)
    if mount.is_read_only:
        raise LackingError(f"{mount.mountpoint} is mounted read-only", hint=f"mount -o remount,rw {mount.mountpoint}")


def _mounts(root: Root) -> tuple[mounts.Mount, ...]:
    """What is mounted at the top of `root` and below it."""
    return mounts.here() if root.is_live else mounts.below(mounts.here(), root)


def _udev_uuid(mount: mounts.Mount) -> str:
    """What udev has on record; empty for a volume, which GRUB does not find by its file system's UUID."""
    import pyudev  # noqa: PLC0415 - loading libudev costs more than most runs

    try:
        status = os.stat(mount.source)
        device = pyudev.Devices.from_device_number(pyudev.Context(), "block", status.st_rdev)
    except (OSError, pyudev.DeviceNotFoundError):
        return ""
    return "" if device.sys_name.startswith(VOLUMES) else str(device.properties.get("ID_FS_UUID", ""))
