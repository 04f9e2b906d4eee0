# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the disks are there that /etc/fstab and resume= name. Pure.

Sources: systemd src/fstab-generator, src/core/mount.c; mount(8), which takes the device of a
remount from fstab; initramfs-tools init (mountfs /usr), scripts/local-premount/resume.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from guest_hooks.formats.fstab import Entry, mounts
from guest_hooks.model import Severity
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.boot import FstabProblem, RootProblem
from guest_hooks.records import dataclass, replace

FSTAB = "/etc/fstab"
INITRAMFS = "/etc/initramfs-tools"
_AUTOMATIC = ("", "auto", "none")
_SWAP = "swap"
USR = "/usr"
_TYPES = frozenset("ext2 ext3 ext4 xfs btrfs f2fs vfat".split())
_MEMBERS = frozenset("swap LVM2_member crypto_LUKS linux_raid_member".split())
"""What blkid(8) calls a disk without a file system."""
IsThere = Callable[[str], bool | None]
"""Whether a disk is there, by a name of fstab(5); None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A disk to resume from, as `place` (a file) says; `step` makes what is said there count."""

    device: str
    place: str
    step: str


def findings(
    entries: Iterable[Entry],
    is_there: IsThere,
    *,
    has_systemd: bool,
    mounts_usr: bool = False,
    type_of: Callable[[str], str] = lambda _name: "",
) -> tuple[Finding, ...]:
    """What of fstab is not there, or of another type (by `type_of`; empty: not known), each with
    what the boot does about it.

    Of what the booted system mounts only systemd is known to stop for it. The initrd `mounts_usr`,
    the first line of it whatever its options are.
    """
    known = tuple(entries)
    early = [entry for entry in known if entry.where == USR][:1] if mounts_usr else []
    found = [_of_usr(entry) for entry in early if is_there(entry.what) is False]
    late = [entry for entry in known if entry.is_waited_for and entry not in early]
    later = [each for entry in late if is_there(entry.what) is False for each in _of(entry)]
    later += [each for entry in late for each in _of_type(entry, type_of(entry.what))]
    return (*found, *(later if has_systemd else map(_harmless, later)))


def resume_findings(places: Sequence[Resume], is_there: IsThere) -> tuple[Finding, ...]:
    """Which disks to resume from are not there."""
    return tuple(
        Finding.of(
            RootProblem.RESUME_MISSING,
            link=Link.INITRD,
            thing=place.device,
            message=f"{place.place} says resume from {place.device}, which is not there",
            resume=place.device,
            place=place.place,
            step=place.step,
        )
        for place in places
        if place.device not in _AUTOMATIC and is_there(place.device) is False
    )


def _of_usr(entry: Entry) -> Finding:
    message = f"{FSTAB} mounts {USR} from {entry.what}, which is not there, in the initrd"
    return Finding.of(
        FstabProblem.USR_MISSING, link=Link.ROOT, thing=entry.what, message=message, what=entry.what
    )


def _of(entry: Entry) -> Iterator[Finding]:
    what = f"{entry.what}, which is not there"
    if entry.fs_type == _SWAP:
        code, message = FstabProblem.SWAP_MISSING, f"{FSTAB} swaps on {what}"
    elif entry.where != "/":
        code, message = FstabProblem.DISK_MISSING, f"{FSTAB} mounts {entry.where} from {what}"
    elif "=" in entry.what:
        code, message = FstabProblem.ROOT_MISSING, f"{FSTAB} mounts / from {what}"
    else:
        return  # mount(8) takes a path as it is, and the kernel does not look at it for a remount
    yield Finding.of(code, link=Link.ROOT, thing=entry.what, message=message)


def _of_type(entry: Entry, is_type: str) -> Iterator[Finding]:
    """That mount(8) is told another type than the disk has; of / it mounts nothing again."""
    is_known = entry.fs_type in _TYPES and is_type in (*_TYPES, *_MEMBERS)
    if not is_known or entry.where == "/" or mounts(entry.fs_type, is_type):
        return
    yield Finding.of(
        FstabProblem.TYPE_DIFFERS,
        link=Link.ROOT,
        thing=entry.what,
        message=f"{FSTAB} mounts {entry.what} as {entry.fs_type}, and it is {is_type}",
    )


def _harmless(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.WARNING, stops=False, console="")
