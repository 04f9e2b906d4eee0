# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of GRUB's tools rest on: the tools themselves, what is mounted on the way to a
directory, its disk's partition table, and what the superblock says of the file system.

Only for a file system on a plain disk or partition. Of a volume (LVM, RAID, LUKS), of one on
several devices and of a file system of another kind it can't be told.
"""

import hashlib
import os
import stat
from collections.abc import Sequence

from guest_hooks.formats import superblock
from guest_hooks.machine import directory, mounts, run
from guest_hooks.machine.mounts import BLOCK_DEVICES, Mount
from guest_hooks.paths import GRUB_DIR
from guest_hooks.records import dataclass

Lines = tuple[str, ...]
PROBE, RELPATH, CHECK = "grub-probe", "grub-mkrelpath", "grub-script-check"
DEV = "/dev"
DEVICE_MAP = f"{GRUB_DIR}/device.map"
TABLE_SIZE = 32 << 10
"""Bytes of a disk's start, in which its partition table is: a GPT with sectors of 512 or 4096
bytes takes 17 or 24 KiB.
"""
_VOLUMES = ("dm", "md", "bcache")
"""Directories that the kernel gives such a device in sysfs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What GRUB's word on a directory rests on, and what its word on the UUID does beside that."""

    lines: Lines
    uuid: Lines


def of_tool(name: str) -> Lines | None:
    """What `name`, a program of GRUB's, is; None where it has just changed or is not there."""
    found = (f"{top}/{name}" for top in run.PATH.split(":"))
    path = next((path for path in found if os.path.exists(path)), "")
    line = _file(path) if path else None
    return None if line is None else (line,)


def of_directory(path: str, table: Sequence[Mount]) -> Basis | None:
    """What GRUB's word on the existing directory `path` rests on; None where that can't be told.
    `table` is what is mounted (`mounts.here`).
    """
    try:
        tools = (of_tool(PROBE), of_tool(RELPATH))
        device_map = _file(DEVICE_MAP)
        mount = mounts.covering(table, os.path.realpath(path))
        disk = _disk(mount) if mount is not None else None
        if mount is None or disk is None or device_map is None or None in tools:
            return None
        used = (line for tool in tools for line in tool or ())
        return Basis(
            lines=(*used, device_map, *_way(path, table), *disk.lines),
            uuid=(*disk.uuid, str(os.statvfs(path).f_fsid)),
        )
    except OSError:
        return None


def _file(path: str) -> str | None:
    """The facts of a file, links followed; None where a later change may leave them as they are."""
    try:
        found = directory.signature(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: absent"
    return None if found is None else f"{path}: {found}"


def _way(path: str, table: Sequence[Mount]) -> Lines:
    """Every mount that `path` lies on or beneath, in their order, and where its links lead.

    Not their options, nor their numbers: each run of the repair service has a namespace of its own.
    """
    real = os.path.realpath(path)
    on_it = (each for each in table if each.mountpoint == "/" or _is_at(each.mountpoint, real))
    return (
        f"{path}: {real} {os.stat(path).st_dev}",
        *(
            repr(
                (
                    each.mountpoint,
                    each.root,
                    each.fs_type,
                    each.source,
                    each.device_number,
                    each.subvolume,
                )
            )
            for each in on_it
        ),
    )


def _is_at(mountpoint: str, path: str) -> bool:
    return path == mountpoint or path.startswith(f"{mountpoint}/")


def _disk(mount: Mount) -> Basis | None:
    """What is on the device of `mount`, and the UUID there."""
    status = os.stat(mount.source)
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if not stat.S_ISBLK(status.st_mode) or (
        number != mount.device_number and mount.fs_type != "btrfs"  # it numbers its subvolumes
    ):
        return None
    known = os.path.realpath(f"{BLOCK_DEVICES}/{number}")
    if is_volume(known):
        return None
    start = _read(mount.source, superblock.SHAPE_SIZE)
    shape, uuid = superblock.shape(start), superblock.read_uuid(start)
    if not shape or not uuid:
        return None
    return Basis(lines=(f"{number} {shape}", *partition(known, start)), uuid=(uuid,))


def is_volume(known: str) -> bool:
    """Whether the device that sysfs has at `known` is one of LVM's, LUKS', RAID's or a cache, or a
    partition on one.
    """
    is_part = os.path.exists(f"{known}/partition")
    tops = (known, os.path.dirname(known)) if is_part else (known,)
    return any(os.path.exists(f"{top}/{kind}") for top in tops for kind in _VOLUMES)


def partition(known: str, start: bytes) -> Lines:
    """Where the device that sysfs has at `known` and that begins with `start` lies on its disk, and
    the partition table there.
    """
    if not os.path.exists(f"{known}/partition"):
        return (f"disk {_digest(superblock.beside(start))}",)
    disk = os.path.dirname(known)
    words = [
        _read(f"{at}/{name}", 64).decode().strip()
        for at, name in (
            (known, "partition"),
            (known, "start"),
            (known, "size"),
            (disk, "dev"),
            (disk, "queue/logical_block_size"),
        )
    ]
    name = os.path.basename(disk).replace("!", "/")
    return (f"partition {words} {_digest(_read(f'{DEV}/{name}', TABLE_SIZE))}",)


def _read(path: str, most: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(most)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
