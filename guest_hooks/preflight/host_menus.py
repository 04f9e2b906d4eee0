# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's menus as two programs of the host's read them: pygrub and pvgrub-legacy."""

from guest_hooks.machine import legacy_drives
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem
from guest_hooks.paths import MENU_LST
from guest_hooks.preflight import facts
from guest_hooks.preflight.links import legacy, pygrub, stage1
from guest_hooks.records import dataclass
from guest_hooks.volumes import BlockDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMenus:
    """One guest, as it is in `root`; `names` are the file names of its second stages."""

    root: Root
    boot: BootFilesystem
    devices: tuple[BlockDevice, ...]
    names: tuple[str, ...]

    def pygrub(self) -> pygrub.Chosen:
        """What pygrub starts."""
        return pygrub.follow(self.boot, self._read)

    def pygrub_text(self) -> str:
        """That in words."""
        found = self.pygrub()
        if found.choice is None or found.choice.entry is None:
            return f"pygrub starts nothing: {found.findings[0].message}"
        return (
            f"pygrub reads {found.path} in the host and starts {found.choice.entry.title!r} itself"
        )

    def legacy(self) -> legacy.Started:
        """What pvgrub-legacy starts."""
        disks = [device.path for device in self.devices if device.type == "disk"]
        return legacy.follow(
            self.boot,
            self.root.read_text(MENU_LST),
            legacy_drives.drive(self.root, self.boot, disks),
            self.names,
            self._is_there,
        )

    def legacy_text(self) -> str:
        """Whether it has a menu, in words."""
        reads = "reads" if self.root.exists(MENU_LST) else "finds no"
        return f"pvgrub-legacy {reads} {MENU_LST}"

    def _read(self, path: str) -> str | None:
        name = stage1.in_guest(path, self.boot)
        return self.root.read_text(name, limit=facts.MAX_CFG) if name else None

    def _is_there(self, path: str) -> bool:
        name = stage1.in_guest(path, self.boot)
        return bool(name) and self.root.exists(name)
