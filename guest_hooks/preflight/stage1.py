"""What a first stage finds on the disks of this guest, and what it does with it. Pure.

Sources: Xen docs/misc/x86-xenpv-bootloader; Debian's grub-xen-host images; GRUB grub-core/commands/search.c, which takes the first
device that has the file, and grub-core/disk/xen/xendisk.c, which lists disks as xenstore does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from guest_hooks.config import Stage1
from guest_hooks.machine.block_devices import BlockDevice
from guest_hooks.model import BootFilesystem, Mode, Severity
from guest_hooks.preflight.result import Certainty, Finding, Link, Step

MENU = "grub/grub.cfg"
BRIDGE = "xen/pvhboot-i386.linux"
TITLES = {
    Stage1.DEBIAN_PV: "Debian's PV stage 1",
    Stage1.DEBIAN_PVH: "Debian's PVH stage 1",
    Stage1.OWN: "our own stage 1",
    Stage1.GRUB_LEGACY: "pvgrub-legacy",
    Stage1.PYGRUB: "pygrub",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Where a first stage may look.

    `here` are the paths (as stage 1 names them) that are on /boot's file system; `elsewhere` those on each other device; `order` is
    every device in the order that GRUB most probably lists them; `boot` is /boot's own; `unread` could not be looked at.
    """

    boot: str
    here: frozenset[str]
    elsewhere: Mapping[str, frozenset[str]]
    order: tuple[str, ...]
    unread: tuple[str, ...] = ()


def kinds(configured: Stage1, mode: Mode) -> tuple[Stage1, ...]:
    """Which first stages may start this guest: the one that is configured, else all that fit the mode, the likeliest first."""
    if configured is not Stage1.AUTO:
        return (configured,)
    if mode is Mode.PV:
        return Stage1.DEBIAN_PV, Stage1.OWN, Stage1.PYGRUB, Stage1.GRUB_LEGACY
    return Stage1.DEBIAN_PVH, Stage1.OWN


def wanted(kind: Stage1, mode: Mode, arches: Sequence[str]) -> tuple[str, ...]:
    """The paths that this first stage looks for, in its order."""
    names = [MENU]
    if mode is Mode.PV and kind in (Stage1.DEBIAN_PV, Stage1.OWN):
        names = [*(f"xen/pvboot-{arch}.elf" for arch in arches), MENU]
    elif mode is Mode.PVH and kind is Stage1.OWN:
        names = [BRIDGE, MENU]
    return tuple(f"{top}/{name}" for name in names for top in ("/boot", ""))


def in_guest(path: str, boot: BootFilesystem) -> str:
    """The guest's name for a path that GRUB takes on /boot's file system; empty where the guest does not see it."""
    top = boot.grub_dir.removesuffix("/grub")
    if path.startswith(top + "/"):
        return "/boot" + path.removeprefix(top)
    root = top.removesuffix("/boot")
    return path.removeprefix(root) if top.endswith("/boot") and path.startswith(root + "/") else ""


def order(devices: Sequence[BlockDevice]) -> tuple[str, ...]:
    """The devices as GRUB most probably lists them: disks by name, each before its partitions, volumes after all disks."""

    def place(device: BlockDevice) -> tuple[bool, int, str, int, str]:
        disk = device.parent or device.path.rpartition("/")[2]
        return device.type not in ("disk", "part"), len(disk), disk, len(device.path), device.path

    return tuple(device.path for device in sorted(devices, key=place))


def follow(kind: Stage1, mode: Mode, arches: Sequence[str], disks: Disks) -> tuple[tuple[Step, ...], tuple[Finding, ...], str]:
    """The steps of one first stage, what is wrong on its way, and the path of this guest that it ends with (empty: none)."""
    title = TITLES[kind]
    found: list[Finding] = []
    for path in wanted(kind, mode, arches):
        holders = [device for device in disks.order if path in disks.elsewhere.get(device, ())]
        is_here = path in disks.here
        if not is_here and not holders:
            continue
        ahead = [device for device in holders if not is_here or _comes_first(device, disks)]
        if ahead:
            found.append(_other_disk(path, ahead[0], title, is_here=is_here))
            return (Step(link=Link.STAGE1, text=f"{title} takes {path} from {ahead[0]}"),), tuple(found), ""
        if holders:
            found.append(_copy(path, holders, title))
        return (Step(link=Link.STAGE1, text=f"{title} finds {path} on {disks.boot}"),), tuple(found), path
    console = f"error: no such device: {wanted(kind, mode, arches)[-2]}."
    message = f"{title} finds nothing to start on {disks.boot}"
    certainty = Certainty.CERTAIN if not disks.unread else Certainty.LIKELY
    found.append(
        Finding(
            code="stage1-finds-nothing",
            link=Link.STAGE1,
            thing=disks.boot,
            message=message,
            console=console,
            certainty=certainty,
            hint="make grub.cfg and the second stage: xen-guest-bootloader sync",
        )
    )
    return (Step(link=Link.STAGE1, text=message),), tuple(found), ""


def legacy_findings(path: str, text: str | None, boot: BootFilesystem, names: Sequence[str]) -> tuple[Finding, ...]:
    """What keeps pvgrub-legacy from starting a second stage by its menu; `names` are the second stages' file names."""
    found = partial(Finding, link=Link.STAGE1, thing=path)
    setting = "set legacy_menu = true, then: xen-guest-bootloader sync"
    rows: list[Finding] = []
    if not boot.fs_type.startswith("ext"):
        message = f"pvgrub-legacy can't read {boot.fs_type}, the file system of /boot"
        rows.append(found(code="legacy-file-system", message=message, console="grubdom>", hint="use ext3 for /boot"))
    if text is None:
        message = f"{path} is missing, and pvgrub-legacy reads no other menu"
        rows.append(found(code="legacy-menu-missing", message=message, console="grubdom>", hint=setting))
    elif not any(name in text for name in names):
        message = f"{path} does not name the second stage"
        rows.append(found(code="legacy-menu-other", message=message, hint=setting, stops=False, severity=Severity.WARNING))
    return tuple(rows)


def _comes_first(device: str, disks: Disks) -> bool:
    return disks.boot not in disks.order or disks.order.index(device) < disks.order.index(disks.boot)


def _other_disk(path: str, device: str, title: str, *, is_here: bool) -> Finding:
    why = "it comes before this guest's disk" if is_here else "this guest's disk has none by that name"
    return Finding(
        code="other-disk-first",
        link=Link.STAGE1,
        thing=device,
        message=f"{title} takes {path} from {device}, not from this guest: {why}",
        console=f"Chainloading ({device.replace('/dev/', 'xen/')}){path}" if path.endswith(".elf") else "",
        certainty=Certainty.LIKELY,
        hint=f"detach {device}, or rename the file on it",
    )


def _copy(path: str, devices: Sequence[str], title: str) -> Finding:
    where = ", ".join(devices)
    return Finding(
        code="other-disk-has-copy",
        link=Link.STAGE1,
        thing=devices[0],
        message=f"{path} is also on {where}: {title} takes the first it meets, and the order of disks is the host's",
        certainty=Certainty.LIKELY,
        hint=f"rename the file on {devices[0]}, or detach it",
        severity=Severity.WARNING,
        stops=False,
    )
