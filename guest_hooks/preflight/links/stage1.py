# SPDX-License-Identifier: GPL-3.0-or-later
"""What a first stage finds on the disks of this guest, and what it does with it. Pure.

Sources: Xen docs/misc/x86-xenpv-bootloader; Debian's grub-xen-host images; GRUB
grub-core/commands/search.c, which takes the first device that has the file, and
grub-core/disk/xen/xendisk.c, which lists disks as xenstore does.
"""

from collections.abc import Mapping, Sequence

from guest_hooks.config import Stage1
from guest_hooks.model import BootFilesystem, Mode, Severity
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.preflight.steps import NextStep
from guest_hooks.problems.boot import Stage1Problem
from guest_hooks.problems.row import Actor
from guest_hooks.records import dataclass, field, replace
from guest_hooks.volumes import BlockDevice

MENU = "grub/grub.cfg"
BRIDGE = "xen/pvhboot-i386.linux"
MAKE = "make grub.cfg and the second stage: xen-guest-bootloader sync"
TOPS = ("/boot", "")
"""Where stage 1 looks for `xen` and `grub`, from the top of each file system."""
TITLES = {
    Stage1.DEBIAN_PV: "Debian's PV stage 1",
    Stage1.DEBIAN_PVH: "Debian's PVH stage 1",
    Stage1.OWN: "our own stage 1",
    Stage1.GRUB_LEGACY: "pvgrub-legacy",
    Stage1.PYGRUB: "pygrub",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherBytes:
    """Why GRUB reads other bytes at a path than the guest has, and the command that mends it."""

    why: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Where a first stage may look.

    `here` are the paths (as stage 1 names them) that are on /boot's file system; `elsewhere` those
    on each other device; `order` is every device in the order that GRUB most probably lists them;
    `boot` is /boot's own; `unread` could not be looked at. `removals` are the commands that remove
    a path from a device that this guest has mounted, `remedy` lets stage 1 find the guest's own
    files. `other_bytes` are the paths where GRUB reads other bytes than the guest has; among them
    may be `menu`, where the second stage finds grub.cfg.
    """

    boot: str
    here: frozenset[str]
    elsewhere: Mapping[str, frozenset[str]]
    order: tuple[str, ...]
    unread: tuple[str, ...] = ()
    removals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    remedy: str = MAKE
    other_bytes: Mapping[str, OtherBytes] = field(default_factory=dict)
    menu: str = ""


def kinds(configured: Stage1, mode: Mode) -> tuple[Stage1, ...]:
    """Which first stages may start this guest: the one that is configured, else all that fit
    the mode, the likeliest first.
    """
    if configured is not Stage1.AUTO:
        return (configured,)
    if mode is Mode.PV:
        return Stage1.DEBIAN_PV, Stage1.OWN, Stage1.PYGRUB, Stage1.GRUB_LEGACY
    return Stage1.DEBIAN_PVH, Stage1.OWN


def unknowable(configured: Stage1, mode: Mode) -> tuple[str, ...]:
    """What the host alone knows of a boot that is followed in one mode."""
    titles = ", ".join(TITLES[kind] for kind in kinds(configured, mode))
    host = (f"the host's type= for this guest (followed: {mode})",)
    which = (
        f"which stage 1 the host starts (followed: {titles}; `stage1` in the configuration"
        " names another)"
    )
    return (*host, which) if configured is Stage1.AUTO else host


def wanted(kind: Stage1, mode: Mode, arches: Sequence[str]) -> tuple[str, ...]:
    """The paths that this first stage looks for, in its order."""
    names = [MENU]
    if mode is Mode.PV and kind in (Stage1.DEBIAN_PV, Stage1.OWN):
        names = [*(f"xen/pvboot-{arch}.elf" for arch in arches), MENU]
    elif mode is Mode.PVH and kind is Stage1.OWN:
        names = [BRIDGE, MENU]
    return tuple(f"{top}/{name}" for name in names for top in ("/boot", ""))


def menu(boot: BootFilesystem) -> str:
    """Where the second stage finds grub.cfg on the file system that it looks for."""
    return f"{boot.grub_place.path.rstrip('/')}/grub.cfg"


def is_usual(boot: BootFilesystem) -> bool:
    """Whether /boot/xen and /boot/grub are on one file system, where stage 1 looks: in /boot or
    at the top.
    """
    grub, xen = boot.grub_place, boot.xen_place
    return grub.device == xen.device == boot.device and any(
        (f"{top}/xen", f"{top}/grub") == (xen.path, grub.path) for top in TOPS
    )


def remedy(boot: BootFilesystem) -> str:
    """What lets stage 1 find the guest's own files: to make them, or links to them where they
    are not where it looks.
    """
    links = [
        (place, name)
        for place, name in ((boot.xen_place, "xen"), (boot.grub_place, "grub"))
        if place.path not in [f"{top}/{name}" for top in TOPS]
    ]
    if not links:
        return MAKE
    device, fs_type = links[0][0].device, links[0][0].fs_type
    # GRUB reads the disk without its journal, and XFS brings there what is in it when it is frozen.
    settle = "fsfreeze -f /mnt && fsfreeze -u /mnt" if fs_type == "xfs" else "sync"
    made = " && ".join(f"ln -sT {place.path.lstrip('/')} /mnt/{name}" for place, name in links)
    return f"{_mount(device, fs_type)} && {made} && {settle} && umount /mnt"


def relink(boot: BootFilesystem, path: str) -> str:
    """The command that leads GRUB, which takes `path` by a link at the top, to this guest's."""
    places = {"boot": boot.boot_place, "xen": boot.xen_place, "grub": boot.grub_place}
    link = path.split("/")[1]
    place = places[link]
    made = f"ln -sfnT {place.path.lstrip('/')} /mnt/{link}"
    return f"{_mount(place.device, place.fs_type)} && {made} && sync && umount /mnt"


def removal(device: BlockDevice, path: str) -> str:
    """The command that removes `path`, counted from the top of the file system, from a device
    that this guest has mounted.
    """
    return f"{_mount(device.path, device.fs_type)} && rm /mnt{path} && umount /mnt"


def _mount(device: str, fs_type: str) -> str:
    """The command that shows a file system at /mnt from its top, whatever of it is mounted
    elsewhere or hidden.
    """
    return f"mount {'-o subvolid=5 ' if fs_type == 'btrfs' else ''}{device} /mnt"


def in_guest(path: str, boot: BootFilesystem) -> str:
    """The guest's name for a path that GRUB takes on /boot's file system; empty where the guest
    does not see it.
    """
    for there, here in _seen(boot):
        if path == there or path.startswith(there.rstrip("/") + "/"):
            return here.rstrip("/") + "/" + path.removeprefix(there).lstrip("/")
    return ""


def _seen(boot: BootFilesystem) -> tuple[tuple[str, str], ...]:
    """Paths on /boot's file system, and where the guest sees what is there."""
    own = boot.boot_place
    places = ((boot.grub_place, "/boot/grub"), (boot.xen_place, "/boot/xen"), (own, "/boot"))
    rows = [(place.path, here) for place, here in places if place.device == own.device]
    top = boot.top or ("/" if boot.mountpoint == "/boot" else own.path.removesuffix("/boot") or "/")
    return *rows, (top, boot.mountpoint)


def order(devices: Sequence[BlockDevice]) -> tuple[str, ...]:
    """The devices as GRUB most probably lists them: disks by name, each before its partitions,
    volumes after all disks.
    """

    def place(device: BlockDevice) -> tuple[bool, int, str, int, str]:
        disk = device.parent or device.path.rpartition("/")[2]
        return device.type not in ("disk", "part"), len(disk), disk, len(device.path), device.path

    return tuple(device.path for device in sorted(devices, key=place))


def follow(
    kind: Stage1, mode: Mode, arches: Sequence[str], disks: Disks
) -> tuple[str, tuple[Finding, ...]]:
    """What one first stage does, in words, and what is wrong with that."""
    title = TITLES[kind]
    for path in wanted(kind, mode, arches):
        holders = [device for device in disks.order if path in disks.elsewhere.get(device, ())]
        is_here = path in disks.here
        if not is_here and not holders:
            continue
        ahead = [device for device in holders if not is_here or _comes_first(device, disks)]
        if ahead:
            other = _other_disk(path, ahead[0], title, disks, is_here=is_here)
            return f"{title} takes {path} from {ahead[0]}", (other,)
        return f"{title} finds {path} on {disks.boot}", (
            *((_copy(path, holders, title, disks),) if holders else ()),
            *((_other_bytes(path, title, disks),) if path in disks.other_bytes else ()),
        )
    if disks.boot in disks.unread:
        return f"what {title} finds on {disks.boot} is not known", ()
    message = f"{title} finds nothing to start on {disks.boot}"
    nothing = Finding.of(
        Stage1Problem.FINDS_NOTHING,
        link=Link.STAGE1,
        thing=disks.boot,
        message=message,
        path=wanted(kind, mode, arches)[-2],
        remedy=disks.remedy,
    )
    certainty = Certainty.LIKELY if disks.unread else Certainty.CERTAIN
    return message, (replace(nothing, certainty=certainty),)


def unlikely(finding: Finding) -> Finding:
    """What is wrong for a stage 1 that is not the likeliest."""
    return replace(finding, severity=Severity.WARNING, stops=False)


def _comes_first(device: str, disks: Disks) -> bool:
    return disks.boot not in disks.order or disks.order.index(device) < disks.order.index(
        disks.boot
    )


def _other_disk(path: str, device: str, title: str, disks: Disks, *, is_here: bool) -> Finding:
    why = (
        "it comes before this guest's disk"
        if is_here
        else "this guest's disk has none by that name"
    )
    first = Finding.of(
        Stage1Problem.OTHER_DISK_FIRST,
        link=Link.STAGE1,
        thing=device,
        message=f"{title} takes {path} from {device}, not from this guest: {why}",
        device=device.partition(",")[0].replace("/dev/", "xen/"),
        path=path,
        by=_removal(path, device, disks),
    )
    return replace(first, console=first.console if path.endswith(".elf") else "")


def other_menu(disks: Disks, known: Sequence[Finding]) -> tuple[Finding, ...]:
    """That the second stage reads another grub.cfg than this guest's, where that is not `known`."""
    if disks.menu not in disks.other_bytes or any(each.thing == disks.menu for each in known):
        return ()
    return (_other_bytes(disks.menu, "GRUB", disks),)


def _other_bytes(path: str, title: str, disks: Disks) -> Finding:
    found = disks.other_bytes[path]
    message = (
        f"{title} takes {path} on {disks.boot}, and its bytes are not those of this guest's file:"
        f" {found.why}"
    )
    return Finding.of(
        Stage1Problem.OTHER_BYTES, link=Link.STAGE1, thing=path, message=message, step=found.step
    )


def _removal(path: str, device: str, disks: Disks) -> NextStep:
    """How to get a file on another device out of the way; a device that this guest uses can't
    be detached.
    """
    command = disks.removals.get((device, path), "")
    words = command or f"detach {device}, or rename the file on it"
    return NextStep(words=words, actor=Actor.HERE if command else Actor.HOST)


def _copy(path: str, devices: Sequence[str], title: str, disks: Disks) -> Finding:
    where = ", ".join(devices)
    return Finding.of(
        Stage1Problem.OTHER_DISK_HAS_COPY,
        link=Link.STAGE1,
        thing=devices[0],
        message=(
            f"{path} is also on {where}: {title} takes the first it meets, and the order of disks"
            " is the host's"
        ),
        by=_removal(path, devices[0], disks),
    )
