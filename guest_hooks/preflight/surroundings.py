# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot meets beside the files that it loads: the features of /boot's file system, the disks
of fstab, the guest's console and memory. Gathers, and lets the links judge.
"""

import re
import shlex
import stat
from contextlib import suppress
from functools import partial

from guest_hooks.config import Config, Stage1
from guest_hooks.formats import crypttab, disk_names, fstab
from guest_hooks.machine import block_devices, boot_features
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem, LastBoot
from guest_hooks.preflight.follow import Way
from guest_hooks.preflight.links import boot_fs, console, init, initrds, root_fs, second_stage
from guest_hooks.preflight.links import fstab as fstab_link
from guest_hooks.preflight.links.fstab import FSTAB, INITRAMFS, Resume
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.records import dataclass
from guest_hooks.volumes import BlockDevice

CRYPTTAB = "/etc/crypttab"
CONSOLES = "/sys/class/tty/console/active"
MEMORY = "/proc/meminfo"
UNITS = tuple(
    f"{each}/systemd/system" for each in ("/etc", "/run", "/usr/local/lib", "/lib", "/usr/lib")
)
"""Where systemd looks for units (systemd.unit(5))."""
_OFF = frozenset(f"fstab={word}" for word in ("0", "no", "n", "false", "f", "off"))
"""systemd-fstab-generator(8)"""
_BOOTS = ("local", "nfs")
"""The scripts that an initrd of initramfs-tools has in any case, for boot=."""
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
            *self._fstab(way),
            *self._resume(way),
            *self._init(way),
        )

    def unknown(self, way: Way) -> tuple[str, ...]:
        """What of that is not known."""
        active = self.root.read_text(CONSOLES) or "" if self.root.is_live else ""
        if way.load is None:
            return ()
        arguments, table = way.load.arguments, self.root.read_text(FSTAB) or ""
        script = "" if initrds.is_by_dracut(way.initrds) else root_fs.last("boot=", arguments)
        said = (
            root_fs.unknown(arguments, self.boot.fs_uuid, table, self.devices),
            console.unknown(arguments, active),
            *self._left_open(),
            f"what boot={script} does" if script not in ("", *_BOOTS) else "",
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
        features = boot_features.of_boot(self.boot)
        wanted = [target for target in way.targets if target.required]
        is_read = bool(wanted) and all(second_stage.reads(target, features) for target in wanted)
        return boot_fs.findings(self.boot, features, self.last_boot, is_read=is_read)

    def _fstab(self, way: Way) -> tuple[Finding, ...]:
        if way.load and not _OFF.isdisjoint(way.load.arguments):
            return ()
        return fstab_link.findings(
            self._entries(),
            self._is_there,
            type_of=self._type_of,
            has_systemd=self._has_systemd(),
            mounts_usr=bool(way.initrds) and not initrds.is_by_dracut(way.initrds),
        )

    def _entries(self) -> tuple[fstab.Entry, ...]:
        return fstab.disks(self.root.read_text(FSTAB) or "")

    def _type_of(self, name: str) -> str:
        device = root_fs.find(name, self.devices)
        return device.fs_type if device is not None else ""

    def _left_open(self) -> tuple[str, ...]:
        """What is not known of the disks of fstab and of crypttab."""
        names = [each.what for each in self._entries() if each.is_waited_for]
        unsure = [name for name in names if self.devices and self._is_there(name) is None]
        crypts = [
            each.name
            for each in crypttab.parse(self.root.read_text(CRYPTTAB) or "")
            if each.asks_for_a_passphrase
        ]
        return (
            *(f"whether {name} of {FSTAB} will be there" for name in dict.fromkeys(unsure)),
            *(f"who types the passphrase of {name}, for which the boot waits" for name in crypts),
        )

    def _init(self, way: Way) -> tuple[Finding, ...]:
        """What the default entry starts on the root, where that is the one that is looked at."""
        if way.load is None:
            return ()
        arguments = way.load.arguments
        shell = init.findings(
            arguments,
            way.steps,
            is_by_dracut=initrds.is_by_dracut(way.initrds),
            target=self._default_target() if self._has_systemd() else "",
            is_unit=self._may_be_unit,
        )
        is_root_wrong = any(each.link is Link.ROOT and each.stops for each in way.findings)
        if shell or is_root_wrong:
            return shell
        device = root_fs.find(root_fs.wanted(arguments), self.devices)
        if device is not None and not self._is_mounted_as_root(device):
            return init.no_system(
                arguments, way.steps, device.path, partial(self._size_on, device, way)
            )
        if "rootflags=" in " ".join(arguments):
            return ()
        return init.missing(arguments, partial(self._size_in, self.root))

    def _is_mounted_as_root(self, device: BlockDevice) -> bool:
        """Whether this is the file system that `device` has; of one that nothing is mounted from,
        only where no other is.
        """
        is_other = any("/" in other.mountpoints for other in self.devices if other is not device)
        return "/" in device.mountpoints or not (any(device.mountpoints) or is_other)

    def _size_on(self, device: BlockDevice, way: Way, path: str) -> int:
        """The size of a program on `device`, which is not mounted as /."""
        where = next(filter(None, device.mountpoints), "")
        if where.startswith("/") and device.fs_type != "btrfs":
            return self._size_in(Root(self.root.outside(where)), path)
        if device.fs_type == "btrfs":
            return init.SOME  # of which subvolume is not known
        found = block_devices.files_on(device.path, [path], run=way.run)
        return init.SOME if found is None or path in found else init.NONE

    def _size_in(self, root: Root, path: str) -> int:
        """The size of a program in `root`; one in /usr it may have where that is another disk."""
        with suppress(OSError):
            where = root.resolve(path)
            status = root.stat(where)
            if status is None:
                return init.SOME if where.startswith("/usr/") and self._has_own_usr() else init.NONE
            may_start = stat.S_ISREG(status.st_mode) and status.st_mode & 0o111
            return status.st_size if may_start else init.NONE
        return init.NONE

    def _has_own_usr(self) -> bool:
        return fstab.at(fstab.parse(self.root.read_text(FSTAB) or ""), "/usr") is not None

    def _may_be_unit(self, name: str) -> bool:
        """Whether systemd may find the unit `name`; one of a template is made when it is named."""
        is_known = "@" not in name and self.root.exists(f"{UNITS[-1]}/rescue.target")
        return not is_known or any(self.root.exists(f"{each}/{name}") for each in UNITS)

    def _default_target(self) -> str:
        with suppress(OSError):
            return self.root.target(init.DEFAULT_TARGET).rpartition("/")[2]
        return ""

    def _has_systemd(self) -> bool:
        with suppress(OSError):
            return self.root.resolve(init.INIT).endswith("/systemd")
        return False

    def _resume(self, way: Way) -> tuple[Finding, ...]:
        arguments = way.load.arguments if way.load else ()
        if "noresume" in arguments:
            return ()
        device = root_fs.last("resume=", arguments)
        places = [Resume(device=device, place="the menu", step="update-grub")] if device else []
        if not places and not initrds.is_by_dracut(way.initrds):
            places = self._resume_of_initramfs_tools()[-1:]
        return fstab_link.resume_findings(places, self._is_there)

    def _resume_of_initramfs_tools(self) -> list[Resume]:
        """What its configuration names, in the order in which a boot reads it."""
        with suppress(OSError):
            return [
                Resume(device=word.removeprefix("RESUME="), place=path, step="update-initramfs -u")
                for path in self._initramfs_conf()
                for word in _words(self.root.read_text(path) or "")
                if word.startswith("RESUME=")
            ]
        return []

    def _initramfs_conf(self) -> list[str]:
        more = f"{INITRAMFS}/conf.d"
        names = sorted(self.root.names(more)) if self.root.exists(more) else []
        return [f"{INITRAMFS}/initramfs.conf", *(f"{more}/{name}" for name in names)]

    def _is_there(self, name: str) -> bool | None:
        """Whether this guest will have the disk `name`.

        Of an image's disks none is known; but it has none of another bus.
        """
        if not self.devices:
            return False if disk_names.is_of_another_bus(name) else None
        if root_fs.find(name, self.devices) is not None:
            return True
        if name.startswith("/dev/") and self.root.is_live and self.root.exists(name):
            return True
        is_told = root_fs.can_be_told(name, self.devices) and not self._is_unlocked_later(name)
        return False if is_told else None

    def _is_unlocked_later(self, name: str) -> bool:
        """Whether `name` may be inside a disk of crypttab's that is not open now."""
        crypts = crypttab.parse(self.root.read_text(CRYPTTAB) or "")
        names = [f"/dev/mapper/{each.name}" for each in crypts]
        return name in names or (
            "=" in name and any(root_fs.find(each, self.devices) is None for each in names)
        )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a quote that does not end
        return []
