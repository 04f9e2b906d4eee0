# SPDX-License-Identifier: GPL-3.0-or-later
"""Never worse than before: a guest in many states, and every kind of run on each; what booted
must boot afterwards.

Whether a guest boots is asked before and after a run: of preflight, in a process of its own; and of
GRUB's own drivers, whether they find on the raw disk, whole, the kernel and the initrd of the entry
that stands first in the menu.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.guest_states import CASES, MENU, NEWER, Case
from tests.support import dpkg_database, images
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import Suite
from tests.support.outside_guest import live_guest, verb

STARTS: Mapping[str, Sequence[str]] = {
    "by hand": ("sync",),
    "service and timer": ("sync", "--quiet", "--automatic", "--lock-timeout", "300"),
    "kernel hook": ("hook", "kernel-postinst", NEWER, f"/boot/vmlinuz-{NEWER}"),
    "kernel's removal": ("hook", "kernel-postrm", NEWER, f"/boot/vmlinuz-{NEWER}"),
    "trigger": ("hook", "trigger"),
    "first boot": ("hook", "first-boot"),
    "grub-install": ("hook", "grub-install"),
    "rollback": ("rollback",),
}
SAVED = ("boot", "etc/default", "etc/grub.d", "var/lib/xen-guest-bootloader", "var/lib/dpkg/status")


@dataclass(slots=True)
class World:
    """One guest that is put back before each point."""

    guest: ChrootGuest
    saved: Path
    lines: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Keep the guest as it is."""
        for name in SAVED:
            self._copy(self.guest.directory / name, self.saved / name)

    def put_back(self) -> None:
        """Make the guest what it was when it was saved."""
        for name in SAVED:
            target = self.guest.directory / name
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            self._copy(self.saved / name, target)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        images.tool("cp", "-a", "--reflink=auto", str(source), str(target))

    def boots(self) -> bool:
        """By preflight's verdict."""
        found: bool = verb(self.guest, "preflight", "--json", code=None).json["will_boot"]
        return found

    def is_readable(self) -> bool:
        """Whether GRUB's drivers find, on the raw disk, what the first entry of the menu
        starts, whole.
        """
        images.tool("sync", "-f", str(self.guest.directory))
        if self.guest.disk.root.fs_type == "xfs":  # whose log GRUB does not read
            for step in ("--freeze", "--unfreeze"):
                images.tool("fsfreeze", step, str(self.guest.directory))
        copy = images.Copy(boot=self.guest.disk.root, has_own_boot=False)
        first = re.search(
            rb"^\s*linux\s+(\S+).*\n(?:(?!\}).*\n)*?(?:\s*initrd\s+(.*)\n)?\s*\}",
            copy.cat(MENU) or b"",
            re.MULTILINE,
        )
        if first is None:
            return False
        names = [first[1].decode(), *(first[2] or b"").decode().split()]
        there = [self.guest.path(name) for name in names]
        return all(
            path.exists() and copy.cat(name) == path.read_bytes()
            for name, path in zip(names, there, strict=True)
        )


def point(world: World, case: Case, start: str) -> str:
    """One run on a guest in one state; what became worse, or an empty string."""
    world.put_back()
    case.damage(world.guest)
    dpkg_database.age(world.guest.directory)
    before = (world.boots(), world.is_readable())
    done = verb(world.guest, *STARTS[start], code=None)
    after = (world.boots(), world.is_readable())
    what = f"{case.name}, {start}"
    if "Traceback" in done.stderr or done.code == 1:
        return f"{what}: {done.stderr[-300:]}"
    if before[0] and not after[0]:
        return (
            f"{what}: booted by preflight, and does no longer; exit code {done.code}:"
            f" {done.stderr[-300:]}"
        )
    if all(before) and not after[1]:
        return (
            f"{what}: GRUB found the kernel and initrd of the first entry, and does no longer; exit"
            f" code {done.code}"
        )
    return ""


def sweep(
    directory: Path,
    suite: Suite,
    *,
    fs_type: str = "ext4",
    starts: Sequence[str] = tuple(STARTS),
    cases: Sequence[Case] = CASES,
) -> Iterator[str]:
    """Every start on every case; one string a point, empty where nothing became worse."""
    with live_guest(suite, directory, platform=Platform.PVH, fs_type=fs_type) as guest:
        verb(guest, "sync")
        verb(guest, "sync", "--force")
        world = World(guest=guest, saved=directory / "saved")
        world.save()
        assert (world.boots(), world.is_readable()) == (True, True)
        for case in cases:
            for start in starts:
                yield point(world, case, start)
