# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GRUB, which reads a file system from its top and without its journal, comes to the bytes
of the guest's own boot files.
"""

import os
import shlex
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from guest_hooks.machine import block_devices, libc, mounts
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.descriptors import closing, readable
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run
from guest_hooks.model import BootFilesystem
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight.links import stage1
from guest_hooks.preflight.links.stage1 import OtherBytes
from guest_hooks.records import dataclass

SETTLES = 60
"""Seconds after which XFS has put a change in its place by itself (docs/protocol.md: 31)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What compares: the tree, /boot's file system, its `own` devices, and what is known from
    earlier runs.
    """

    root: Root
    boot: BootFilesystem
    own: Sequence[str]
    memory: Memory
    run: Run
    now: Callable[[], float] = time.time

    def differing(self, here: Iterable[str]) -> dict[str, OtherBytes]:
        """Of the paths `here` (as stage 1 names them) and of $prefix/grub.cfg those where GRUB
        reads other bytes than this guest.
        """
        wanted = {path: (_name(path), tuple(self.own)) for path in here}
        wanted[stage1.menu(self.boot)] = (GRUB_CFG, (self.boot.grub_place.device,))
        return {
            path: self._why(path, name)
            for path, (name, devices) in wanted.items()
            if self._differs(name, path, devices)
        }

    def _differs(self, name: str, path: str, devices: Sequence[str]) -> bool:
        is_same = partial(self._is_same, name, path, devices)
        where = f"{' '.join(devices)} {path}"
        if self.memory.is_read_by_grub(name, where, is_same) is not False:
            return False
        self._write_out()  # what was written a moment ago is not on the disk yet
        return is_same() is False and (self._is_covered(name) or not self._is_under_way(name))

    def _is_covered(self, name: str) -> bool:
        """Whether a file is mounted over that one alone."""
        outside = os.path.realpath(self.root.outside(name))
        return any(mount.mountpoint == outside for mount in mounts.here())

    def _is_same(self, name: str, path: str, devices: Sequence[str]) -> bool | None:
        """Whether GRUB reads at `path` what the guest reads at `name`; None where that is not
        known.
        """
        contents = (block_devices.content(device, path, run=self.run) for device in devices)
        theirs = next((data for data in contents if data is not None), None)
        try:
            ours = self.root.read(name)
        except FileNotFoundError:
            return None if theirs is None else False
        except (OSError, NotRegularError):
            return None
        if theirs is None:
            seen = [block_devices.files_on(each, [path], run=self.run) for each in devices]
            return False if any(seen) else None
        return theirs == ours

    def _is_under_way(self, name: str) -> bool:
        """Whether the file has changed so lately that XFS may not have it in its place."""
        places = [self.root.stat(each) for each in (name, os.path.dirname(name))]
        changed = max((place.st_ctime for place in places if place), default=0.0)
        return self.boot.fs_type == "xfs" and self.now() - changed < SETTLES

    def _write_out(self) -> None:
        with (
            suppress(OSError),
            closing(self.root.open_dir("/boot")) as boot,
            closing(readable(boot)) as fd,
        ):
            libc.syncfs(fd)

    def _why(self, path: str, name: str) -> OtherBytes:
        outside = self.root.outside(name)
        if self._is_covered(name):
            return OtherBytes(
                why=f"another file is mounted over {name}", step=f"umount {shlex.quote(outside)}"
            )
        if not stage1.is_usual(self.boot):
            why = "a link there leads to another subvolume or directory"
            return OtherBytes(why=why, step=stage1.relink(self.boot, path))
        status = self.root.lstat(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            why = f"{name} is a link, and GRUB follows it from the top of that file system"
            target = self.root.outside(self.root.resolve(name))
            return OtherBytes(
                why=why, step=f"cp --remove-destination {shlex.join([target, outside])}"
            )
        why = "the file system that is mounted is not the one on that disk"
        return OtherBytes(why=why, step=f"see which it is: findmnt -T {shlex.quote(outside)}")


def _name(path: str) -> str:
    """The guest's own file for a path of stage 1's."""
    return f"/boot/{'/'.join(path.split('/')[-2:])}"
