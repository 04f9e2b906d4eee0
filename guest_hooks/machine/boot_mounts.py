# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guest's own boot mounts on the way to /boot/xen and /boot/grub, and whether that is
what is mounted now.

fstab(5) and systemd's unit files are read, those that generators wrote, too: that is all systemd
itself knows, it needs no bus, and it is the same for a running guest, a chroot and a tree. The
program that runs here writes where the next boot reads, or not at all.
"""

import os
import shlex
from collections.abc import Iterator, Sequence

from guest_hooks.errors import UnmountedError
from guest_hooks.formats import fstab
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.paths import BOOT_XEN, GRUB_DIR
from guest_hooks.records import dataclass

FSTAB = "/etc/fstab"
MAX_FSTAB = 1 << 20
BOOT_DIRS = (BOOT_XEN, GRUB_DIR)
UNIT_DIRS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""Where systemd looks for units, in its order (systemd.unit(5), Unit File Load Path); the first
of a name counts.
"""
UNIT_KINDS = (".mount", ".automount")
_FROM_FSTAB = f"SourcePath={FSTAB}"
"""In what systemd-fstab-generator wrote: fstab may have changed since, and speaks for itself."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
"""What a unit's name does not escape (systemd.unit(5), String Escaping for Inclusion in Unit
Names).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """That `point` (as the guest names it) is to be mounted; `by` is fstab or a unit file,
    `unit` the latter's name.
    """

    point: str
    by: str
    what: str = ""
    unit: str = ""


def require(root: Root, mounts: Sequence[Mount]) -> None:
    """Raise `UnmountedError` for the first directory on the way that the guest's boot mounts
    and that is not mounted now.

    `mounts` are those of this root, as this process names them.
    """
    points = {mount.mountpoint for mount in mounts if not mount.is_on_demand}
    waiting = {mount.mountpoint for mount in mounts if mount.is_on_demand} - points
    for point in ways(root):
        where = os.path.realpath(root.outside(point))
        if where in waiting:
            unit = unit_name(point, ".mount")
            raise UnmountedError(
                f"{point} is mounted on demand, and its file system could not be mounted",
                hint=f"see why: systemctl status {shlex.quote(unit)}",
            )
        if where not in points and (expected := wanted(root, point)):
            raise _missing(root, expected)


def ways(root: Root) -> tuple[str, ...]:
    """Every directory but `/` on the way to the boot files, the upper ones first, under its own
    name and where links lead.
    """
    found = {
        part
        for path in BOOT_DIRS
        for name in (path, _resolved(root, path))
        for part in _parents(name)
    }
    return tuple(sorted(found, key=lambda path: (path.count("/"), path)))


def wanted(root: Root, point: str) -> Expected | None:
    """What mounts `point` when the guest boots, by its files; None where nothing does."""
    entry = fstab.at(entries(root), point)
    if entry is not None:
        return Expected(point=point, by=FSTAB, what=entry.what)
    for kind in UNIT_KINDS:
        name = unit_name(point, kind)
        path = next(
            (path for top in UNIT_DIRS if root.lstat(path := f"{top}/{name}") is not None), ""
        )
        text = root.read_text(path) if path else None
        # Without a text it is masked: empty, or a link to /dev/null.
        if text and _FROM_FSTAB not in text.splitlines():
            return Expected(point=point, by=path, unit=name)
    return None


def entries(root: Root) -> tuple[fstab.Entry, ...]:
    """The lines of the guest's fstab, none where there is no such file; raises `OSError` where
    it can't be read.
    """
    try:
        return fstab.parse(root.read(FSTAB, limit=MAX_FSTAB).decode(errors="replace"))
    except (FileNotFoundError, NotADirectoryError, NotRegularError):
        return ()


def unit_name(point: str, kind: str) -> str:
    """The name of the unit that mounts `point`: `/boot/xen` is `boot-xen.mount`."""
    escaped = "-".join(_escaped(part) for part in point.strip("/").split("/"))
    return (f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped) + kind


def _missing(root: Root, expected: Expected) -> UnmountedError:
    where = root.outside(expected.point)
    if expected.unit:
        message = (
            f"{expected.point} is mounted by {expected.by} when the guest boots, and is not"
            " mounted now"
        )
        live = f"systemctl start {shlex.quote(expected.unit)}"
        hint = (
            live
            if root.is_live
            else f"mount the file system that {root.outside(expected.by)} names at {where}"
        )
        return UnmountedError(message, hint=hint)
    message = f"{expected.point} is in {FSTAB} and is not mounted"
    return UnmountedError(
        message,
        hint=f"mount {shlex.join([where] if root.is_live else [expected.what, where])}",
    )


def _resolved(root: Root, path: str) -> str:
    """`path` with its links followed as far as it exists."""
    below = ""
    while path != "/":
        try:
            return root.resolve(path).rstrip("/") + below
        except (FileNotFoundError, NotADirectoryError):
            path, name = os.path.split(path)
            below = f"/{name}{below}"
    return below


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)


def _escaped(part: str) -> str:
    return "".join(
        chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(part)
    )
