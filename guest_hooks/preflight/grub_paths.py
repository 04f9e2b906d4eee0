# SPDX-License-Identifier: GPL-3.0-or-later
"""Where GRUB comes to by a path on /boot's file system: it follows links from the top of that
file system, and sees nothing of what is mounted in its directories.

Source: GRUB grub-core/fs/fshelp.c.
"""

import os
import shlex
import stat
from functools import cached_property

from guest_hooks.machine import mounts
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight.links import stage1
from guest_hooks.records import dataclass

MOST_LINKS = 8
"""One more, and GRUB says: too deep nesting of symlinks."""


class AstrayError(Exception):
    """GRUB comes to another place than the guest: `why`, and the next `step`."""

    def __init__(self, why: str, step: str) -> None:
        super().__init__(why)
        self.why, self.step = why, step


@dataclass(frozen=True, kw_only=True)
class GrubPaths:
    """The paths on the file system of `boot` in one tree."""

    root: Root
    boot: BootFilesystem

    def opened(self, path: str) -> str:
        """The guest's name of what GRUB opens by `path`, there or not; empty where the guest does
        not see it. Raises `AstrayError` where that can't be what the guest finds.
        """
        done: list[str] = []
        rest, links = _parts(path), 0
        while rest:
            part, rest = rest[0], rest[1:]
            if part == "..":
                done = done[:-1]
                continue
            name = stage1.in_guest("/".join(["", *done, part]), self.boot)
            status = self.root.lstat(name) if name else None
            if status is None:
                there = "/".join(["", *done, part, *rest])
                return stage1.in_guest(there, self.boot)
            if not stat.S_ISLNK(status.st_mode):
                done.append(part)
                continue
            target = self.root.target(name)
            links += 1
            if links > MOST_LINKS:
                raise self._gone_by_a_link(name, "to no end")
            rest = [*_parts(target), *rest]
            done = [] if target.startswith("/") else done
        name = stage1.in_guest("/".join(["", *done]), self.boot)
        if name and (covering := self._mounted_over(name)):
            raise AstrayError(
                f"{name} is on {covering.source}, and GRUB looks for {path} on {self.boot.device}",
                f"copy it to /boot, and name that copy in the menu: cp {shlex.quote(name)} /boot",
            )
        return name

    def reached(self, path: str, name: str) -> str:
        """The guest's name of the file that GRUB reads by `path` and the guest has as `name`.

        Raises `AstrayError` where it is there for the guest alone.
        """
        try:
            found = self.opened(path)
        except OSError:
            return name
        if found and (self.root.exists(found) or not self.root.exists(name)):
            return found
        if not self.root.exists(name):
            return name
        raise self._gone_by_a_link(name, "to nothing")

    def menu_astray(self) -> AstrayError | None:
        """Why the second stage comes to no grub.cfg where the guest has one; None where it does."""
        if self.boot.grub_place.device != self.boot.device:
            return None
        try:
            self.reached(stage1.menu(self.boot), GRUB_CFG)
        except AstrayError as error:
            return error
        return None

    def _gone_by_a_link(self, name: str, where: str) -> AstrayError:
        paths = (self.root.outside(each) for each in (self.root.resolve(name), name))
        target, link = map(shlex.quote, paths)
        return AstrayError(
            f"{name} is a link, and GRUB, which follows it from the top of that file system, comes"
            f" {where}",
            f"put the file itself in its place: cp --remove-destination {target} {link}",
        )

    def _mounted_over(self, name: str) -> Mount | None:
        """The mount of another file system that the guest finds `name` on."""
        outside = os.path.realpath(self.root.outside(name))
        mount = mounts.covering(self._table, outside)
        own = mounts.covering(self._table, os.path.realpath(self.root.outside("/boot")))
        if mount is None or own is None or mount.device_number == own.device_number:
            return None
        return mount if mount.mountpoint.startswith(own.mountpoint.rstrip("/") + "/") else None

    @cached_property
    def _table(self) -> tuple[Mount, ...]:
        return mounts.here()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
