# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot meets beside the files that it loads: the features of /boot's file system, the disks
of fstab, the guest's console and memory. Gathers, and lets the links judge.
"""

import re
import shlex
from contextlib import suppress

from guest_hooks.config import Config, Stage1
from guest_hooks.formats import disk_names, fstab
from guest_hooks.formats.grub_menu import Boot
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem, LastBoot
from guest_hooks.preflight import facts
from guest_hooks.preflight.follow import Way
from guest_hooks.preflight.links import boot_fs, console, initrds, root_fs, second_stage
from guest_hooks.preflight.links import fstab as fstab_link
from guest_hooks.preflight.links.fstab import FSTAB, RESUME, Resume
from guest_hooks.preflight.result import Finding
from guest_hooks.records import dataclass
from guest_hooks.volumes import BlockDevice

CRYPTTAB = "/etc/crypttab"
INIT = "/sbin/init"
CONSOLES = "/sys/class/tty/console/active"
MEMORY = "/proc/meminfo"
_ANOTHER_GRUB = (Stage1.PYGRUB, Stage1.GRUB_LEGACY)
"""First stages that read file systems by drivers of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One guest, its disks as far as they are known, and how it was started."""

    root: Root
    config: Config
    boot: BootFilesystem
    devices: tuple[BlockDevice, ...]
    last_boot: LastBoot

    def findings(self, way: Way) -> tuple[Finding, ...]:
        """What is wrong beside the chain of a boot that was followed."""
        arguments = way.load.arguments if way.load else ()
        return (
            *self._boot_fs(way),
            *initrds.memory_findings(way.initrds, self._memory()),
            *console.findings(arguments, way.mode),
            *self._fstab(),
            *self._resume(way.load),
        )

    def unknown(self, way: Way) -> tuple[str, ...]:
        """What of that is not known."""
        active = self.root.read_text(CONSOLES) or "" if self.root.is_live else ""
        if way.load is None:
            return ()
        arguments, table = way.load.arguments, self.root.read_text(FSTAB) or ""
        said = (
            "" if self.devices else root_fs.unknown(arguments, self.boot.fs_uuid, table),
            console.unknown(arguments, active),
        )
        return tuple(filter(None, said))

    def _memory(self) -> int:
        """The bytes of memory of the running guest; 0 for an image."""
        text = self.root.read_text(MEMORY) or "" if self.root.is_live else ""
        found = re.search(r"^MemTotal: *([0-9]+) kB$", text, re.MULTILINE)
        return int(found[1]) << 10 if found else 0

    def _boot_fs(self, way: Way) -> tuple[Finding, ...]:
        if self.config.stage1 in _ANOTHER_GRUB:
            return ()
        features = facts.boot_features(self.boot)
        wanted = [target for target in way.targets if target.required]
        is_read = bool(wanted) and all(second_stage.reads(target, features) for target in wanted)
        return boot_fs.findings(self.boot, features, self.last_boot, is_read=is_read)

    def _fstab(self) -> tuple[Finding, ...]:
        entries = fstab.disks(self.root.read_text(FSTAB) or "")
        return fstab_link.findings(entries, self._is_there, has_systemd=self._has_systemd())

    def _has_systemd(self) -> bool:
        with suppress(OSError):
            return self.root.resolve(INIT).endswith("/systemd")
        return False

    def _resume(self, load: Boot | None) -> tuple[Finding, ...]:
        places = [
            Resume(device=argument.removeprefix("resume="), place="the menu", step="update-grub")
            for argument in (load.arguments if load else ())[::-1]
            if argument.startswith("resume=")
        ][:1]
        if not places:
            text = self.root.read_text(RESUME) or ""
            given = [word.removeprefix("RESUME=") for word in _words(text) if "RESUME=" in word]
            places = [
                Resume(device=device, place=RESUME, step="update-initramfs -u")
                for device in given[-1:]
            ]
        return fstab_link.resume_findings(places, self._is_there)

    def _is_there(self, name: str) -> bool | None:
        """Whether this guest will have the disk `name`.

        Of an image's disks none is known; but it has none of another bus.
        """
        if not self.devices:
            return False if disk_names.is_of_another_bus(name) else None
        if root_fs.find(name, self.devices) is not None:
            return True
        if name.startswith("/dev/"):
            return (self.root.is_live and self.root.exists(name)) or self._is_unlocked_later(name)
        return False if root_fs.can_be_told(name) else None

    def _is_unlocked_later(self, name: str) -> bool | None:
        """False for a path at which nothing is; None where crypttab makes it."""
        lines = (self.root.read_text(CRYPTTAB) or "").splitlines()
        names = {f"/dev/mapper/{line.split()[0]}" for line in lines if line.split()}
        return None if name in names or not root_fs.can_be_told(name) else False


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a quote that does not end
        return []
