# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight looks at on this machine: disks and the menu. No judgement."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from guest_hooks.errors import FormatError, GuestHooksError
from guest_hooks.formats import command_list, grub_cfg, grubenv
from guest_hooks.formats.grub_menu import Menu
from guest_hooks.formats.grub_state import UnknownFileError
from guest_hooks.machine import beneath, block_devices, mounts
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run
from guest_hooks.model import BootFilesystem, Guest, Mode, Place
from guest_hooks.paths import BOOT_XEN, GRUB_CFG, GRUBENV
from guest_hooks.preflight.links import root_fs, stage1
from guest_hooks.preflight.links.places import place
from guest_hooks.preflight.links.stage1 import Disks
from guest_hooks.preflight.raw_bytes import Reader
from guest_hooks.records import replace
from guest_hooks.targets import TARGETS, of_boot
from guest_hooks.volumes import BlockDevice

MAX_CFG = 4 << 20
CMDLINE = "/proc/cmdline"
MAX_DISKS = 32
"""How many file systems other than /boot's are looked at; a guest with more is told so."""
DRIVE = "(boot)"
"""Stands for /boot's file system in GRUB's variables while a menu is followed."""


def devices(root: Root, boot: BootFilesystem, *, run: Run) -> tuple[BlockDevice, ...]:
    """The block devices of the running guest; empty for an image, or where udev does not know
    /boot's own.
    """
    if not root.is_live:
        return ()
    try:
        found = block_devices.present(run=run)
    except GuestHooksError:
        return ()
    if not any(device.uuid and device.uuid == boot.fs_uuid for device in found):
        return ()
    return _with_booted_name(found, root.read_text(CMDLINE) or "")


def _with_booted_name(devices: Sequence[BlockDevice], command_line: str) -> tuple[BlockDevice, ...]:
    """The devices, the root's with the name by which this boot found it: one that the initrd alone
    makes is gone by now.
    """
    name = root_fs.wanted(command_line.split())
    if not name.startswith("/dev/") or os.path.exists(name):
        return tuple(devices)
    return tuple(
        replace(device, names=(*device.names, name)) if "/" in device.mountpoints else device
        for device in devices
    )


def disks(
    root: Root,
    boot: BootFilesystem,
    known: Sequence[BlockDevice],
    paths: Iterable[str],
    memory: Memory,
    *,
    run: Run,
) -> Disks:
    """Which of `paths` (as stage 1 names them) are on the guest's own file systems and on each
    other one.
    """
    wanted = tuple(dict.fromkeys(paths))
    own = own_devices(boot, known)
    others = [device for device in known if device.path not in own and device.has_files][:MAX_DISKS]
    elsewhere: dict[str, frozenset[str]] = {}
    removals: dict[tuple[str, str], str] = {}
    unread = []
    for device in others:
        there = block_devices.files_on(device.path, wanted, run=run)
        if there is None:
            unread.append(device.path)
        else:
            elsewhere[device.path] = there
            removals |= {
                (device.path, path): stage1.removal(device, path)
                for path in there
                if any(device.mountpoints)
            }
    here = _on_own(root, boot, own, wanted, run)
    if here is None:
        unread.append(own[0])
    before = []
    try:
        for each in beneath.hidden(root, wanted):
            name = each.device if each.device not in own else f"{each.device}, beneath a mount"
            before += [name] if each.device in own else []
            here = (here or frozenset()) - set(each.paths if each.device in own else ())
            elsewhere[name] = elsewhere.get(name, frozenset()) | set(each.paths)
            removals |= {(name, path): each.removal for path in each.paths}
    except OSError:
        unread.append("the file system beneath /boot's mount")
    reader = Reader(root=root, boot=boot, own=own, memory=memory, run=run)
    looked_at = [device for device in known if device.path in own or device.has_files]
    return Disks(
        boot=own[0],
        here=here or frozenset(),
        elsewhere=elsewhere,
        order=(*before, *(stage1.order(looked_at) or dict.fromkeys((*elsewhere, own[0])))),
        unread=tuple(unread),
        removals=removals,
        remedy=stage1.remedy(boot),
        other_bytes=reader.differing(here or ()),
        menu=stage1.menu(boot),
    )


def own_devices(boot: BootFilesystem, known: Sequence[BlockDevice]) -> tuple[str, ...]:
    """The devices of the guest's own boot files, /boot's first; by udev's names where that
    knows them by others.
    """
    places = (boot.boot_place, boot.grub_place, boot.xen_place)
    return tuple(dict.fromkeys(_device_of(place, known) for place in places))


def _device_of(place: Place, known: Sequence[BlockDevice]) -> str:
    """The device of `place`: by its name, and by its UUID where udev knows no such name; of two
    with one UUID, the mounted one.
    """
    for device in known:
        if place.device in (device.path, *device.names):
            return device.path
    same = [device for device in known if device.uuid and device.uuid == place.fs_uuid]
    ordered = sorted(same, key=lambda device: not any(device.mountpoints))
    return ordered[0].path if ordered else place.device


def _on_own(
    root: Root, boot: BootFilesystem, own: Sequence[str], wanted: Sequence[str], run: Run
) -> frozenset[str] | None:
    """Which of `wanted` are on the guest's own file systems; None where GRUB has to be asked
    and can't be.
    """
    if stage1.is_usual(boot):
        return frozenset(
            path for path in wanted if (name := stage1.in_guest(path, boot)) and root.exists(name)
        )
    # A subvolume, a link, a bind mount: what GRUB comes to from the top of a file system is written
    # there alone.
    seen = [block_devices.files_on(device, wanted, run=run) for device in own]
    found = [paths for paths in seen if paths is not None]
    return frozenset().union(*found) if len(found) == len(seen) else None


def menu_text(root: Root) -> str | None:
    """The text of grub.cfg, None where there is none that can be read."""
    return root.read_text(GRUB_CFG, limit=MAX_CFG)


def environment(root: Root) -> tuple[Mapping[str, str] | None, str]:
    """The variables in grubenv (None where there is no grubenv), and what is wrong with it."""
    try:
        return grubenv.parse(root.read(GRUBENV, limit=1 << 16)), ""
    except FileNotFoundError:
        return None, ""
    except FormatError as error:
        return {}, error.message
    except (OSError, NotRegularError) as error:
        return {}, str(error)


def commands(root: Root, targets: Iterable[str]) -> frozenset[str] | None:
    """The commands of this guest's GRUB for `targets`, of which one starts the next boot; None
    where they are not known.

    A host's GRUB of the same platform has the same loaders.
    """
    texts = (root.read_text(f"{TARGETS[name].lib_dir}/command.lst") for name in targets)
    found = [command_list.parse(text) for text in texts if text]
    return frozenset().union(*found) or None


def menu(  # noqa: PLR0913 - a menu depends on all of these
    root: Root,
    boot: BootFilesystem,
    text: str,
    mode: Mode,
    *,
    targets: Sequence[str],
    by_second_stage: bool,
    devices: Sequence[BlockDevice] = (),
) -> Menu:
    """The menu as the second stage sees it, or as the host's stage 1 does, which knows no
    grubenv; raises `FormatError`. Of the guest's `devices` those with no menu of ours are asked
    for no file.
    """
    prefix = f"{DRIVE}{boot.grub_dir}" if by_second_stage else "(memdisk)/boot/grub"
    target = of_boot(mode, targets)
    variables = {
        "prefix": prefix,
        "config_directory": f"{DRIVE}{boot.grub_dir}",
        "root": DRIVE.strip("()"),
        "grub_platform": target.platform,
        "grub_cpu": target.cpu,
    }

    def in_guest(path: str) -> str:
        device, _, file = path.removeprefix("(").partition(")")
        return stage1.in_guest(file, boot) if place(device, boot, devices).is_here else ""

    def look(path: str) -> str | None:
        if path.startswith("(memdisk)"):
            return None
        name = in_guest(path)
        if not name:
            raise UnknownFileError(path)
        return root.read_text(name, limit=MAX_CFG) if root.exists(name) else None

    def exists(path: str) -> bool | None:
        if path.startswith("(memdisk)"):
            return False
        name = in_guest(path)
        if not name:
            return None
        if name.startswith(f"{BOOT_XEN}/") and boot.xen_place.device != boot.device:
            return False  # on /boot's file system there is nothing but the mount's directory
        status = root.stat(name)
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size > 0

    saved = environment(root)[0] if by_second_stage else None
    return grub_cfg.read(
        text,
        variables=variables,
        grubenv=saved,
        look=look,
        exists=exists,
        commands=commands(root, targets),
        is_strict=False,
    )


def running(root: Root, guest: Guest, mode: Mode) -> str:
    """The release of the kernel that runs now in this mode, or an empty string."""
    return os.uname().release if root.is_live and guest.mode is mode else ""


def has_subvolume(root: Root, device: BlockDevice, path: str, *, run: Run) -> bool | None:
    """Whether the btrfs on `device` has a subvolume, or a directory, of that path from its top;
    None where it can't be looked at. GRUB is asked of one that `root` is not mounted by.
    """
    own = mounts.covering(mounts.of(root), os.path.realpath(root.path))
    if own and own.subvolume == path and own.source in (device.path, *device.names):
        return True
    return block_devices.has_directory(device.path, path, run=run)
