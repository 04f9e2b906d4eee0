# SPDX-License-Identifier: GPL-3.0-or-later
"""The block devices of this guest as udev knows them, and what GRUB's own drivers find on one
that need not be mounted.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine.run import Run, run
from guest_hooks.records import replace
from guest_hooks.volumes import BlockDevice

LSBLK_TIMEOUT = 10
LOOK_TIMEOUT = 5
BLKFLSBUF = 0x1261  # linux/fs.h
DEV = "/dev"
DIRECTORY = "/"
"""How GRUB's `ls` ends a directory's name."""
_COLUMNS = "PATH,TYPE,FSTYPE,UUID,LABEL,PARTUUID,PARTLABEL,PKNAME,MOUNTPOINTS"
_NO_DISKS = ("/dev/loop", "/dev/zram", "/dev/ram", "/dev/nbd", "/dev/fd")


def present(*, run: Run = run) -> tuple[BlockDevice, ...]:
    """Every block device there is but loop devices and their like, in the kernel's order;
    raises `GuestHooksError` as `run`.
    """
    done = run(["lsblk", "--json", "--list", "--output", _COLUMNS], timeout=LSBLK_TIMEOUT)
    links = _links()
    return tuple(
        replace(device, names=links.get(os.path.realpath(device.path), ()))
        for device in parse(done.text)
    )


def _links() -> dict[str, tuple[str, ...]]:
    """The links that udev and the kernel made in /dev, by the device that they lead to.

    Other users can write to file systems that are mounted below /dev: none is entered.
    """
    found: dict[str, tuple[str, ...]] = {}
    device = os.stat(DEV).st_dev
    for directory, names, files in os.walk(DEV):
        names[:] = [
            name for name in names if os.lstat(os.path.join(directory, name)).st_dev == device
        ]
        for path in (os.path.join(directory, name) for name in (*files, *names)):
            if os.path.islink(path):
                target = os.path.realpath(path)
                found[target] = (*found.get(target, ()), path)
    return found


def parse(text: str) -> tuple[BlockDevice, ...]:
    """The devices in the JSON of lsblk; what is not of its shape is passed over."""
    try:
        rows = json.loads(text)["blockdevices"]
    except (ValueError, KeyError, TypeError):
        return ()
    found: dict[str, BlockDevice] = {}
    for row in rows if isinstance(rows, list) else ():
        fields = {key: value for key, value in row.items() if isinstance(value, str)}
        path = fields.get("path", "")
        if not path or path.startswith(_NO_DISKS):
            continue
        found[path] = BlockDevice(
            path=path,
            type=fields.get("type", ""),
            fs_type=fields.get("fstype", ""),
            uuid=fields.get("uuid", ""),
            label=fields.get("label", ""),
            part_uuid=fields.get("partuuid", ""),
            part_label=fields.get("partlabel", ""),
            parent=fields.get("pkname", "") or (found[path].parent if path in found else ""),
            mountpoints=tuple(m for m in row.get("mountpoints") or () if isinstance(m, str)),
        )
    return tuple(found.values())


def _forget_buffers(device: str) -> None:
    """Let the next reader of a device that is mounted, too, see the disk and not what an
    earlier reader saw.
    """
    with suppress(OSError), open(device, "rb", buffering=0) as disk:
        fcntl.ioctl(disk, BLKFLSBUF)


def content(device: str, path: str, *, run: Run = run) -> bytes | None:
    """The bytes of `path` as GRUB reads them on the raw device; None where it can't read it."""
    _forget_buffers(device)
    try:
        return run(["grub-fstest", device, "cat", f"(loop0){path}"], timeout=LOOK_TIMEOUT).stdout
    except GuestHooksError:
        return None


def has_directory(device: str, path: str, *, run: Run = run) -> bool | None:
    """Whether the directory, or subvolume, `path` is on that file system as GRUB reads it; None
    where it can't be looked at.
    """
    found = files_on(device, [f"{path}{DIRECTORY}"], run=run)
    return None if found is None else bool(found)


def files_on(device: str, paths: Iterable[str], *, run: Run = run) -> frozenset[str] | None:
    """Which of `paths` (absolute, on that file system; with a slash behind them directories) are
    there as GRUB reads the raw device; None where it can't be looked at.
    """
    found = set()
    _forget_buffers(device)
    try:
        for path in paths:
            directory, _, name = path.removesuffix(DIRECTORY).rpartition("/")
            name += DIRECTORY if path.endswith(DIRECTORY) else ""
            listing = run(
                ["grub-fstest", device, "ls", f"(loop0){directory}/"],
                timeout=LOOK_TIMEOUT,
                success_codes=(0, 1),
            ).text
            if name in listing.split():
                found.add(path)
    except GuestHooksError:
        return None
    return frozenset(found)
