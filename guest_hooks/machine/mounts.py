# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, from /proc/self/mountinfo (proc(5))."""

import os
from collections.abc import Iterable
from functools import lru_cache

from guest_hooks.formats import superblock
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass, replace

MOUNTINFO = "/proc/self/mountinfo"
BLOCK_DEVICES = "/sys/dev/block"
"""A link for each, by its number, that ends in its name (sysfs: block/genhd.c)."""
ROOT_DEVICE = "/dev/root"
"""What a kernel that mounts / without an initrd's help says it mounted (init/do_mounts.c); no
such device is made.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount: `root` is the path within its file system, `source` the device or whatever the
    file system calls its source.

    `subvolume` is the btrfs subvolume that `root` lies in, as a path from the top of the file
    system; empty for all others.
    """

    mountpoint: str
    root: str
    fs_type: str
    source: str
    device_number: str
    is_read_only: bool
    subvolume: str = ""

    @property
    def is_on_demand(self) -> bool:
        """Whether this is an automount point: what is to be mounted there was not asked for
        yet, or could not be mounted.
        """
        return self.fs_type == "autofs"

    def place(self, path: str) -> str:
        """`path`, which lies on this mount, as a path within the file system."""
        below = path.removeprefix(self.mountpoint).strip("/")
        return f"{self.root.rstrip('/')}/{below}".rstrip("/") or "/"


@lru_cache(maxsize=4)
def parse(text: str) -> tuple[Mount, ...]:
    """The mounts that a mountinfo file lists, in its order; lines of another shape are passed
    over. A run asks a dozen times, and the text is the same.
    """
    mounts = []
    # splitlines() knows line breaks that a mountpoint may have in its name
    for line in text.split("\n"):
        left, separator, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(rest) < 3:
            continue
        mounts.append(
            Mount(
                mountpoint=_unescape(fields[4]),
                root=_unescape(fields[3]),
                fs_type=rest[0],
                source=_unescape(rest[1]),
                device_number=fields[2],
                is_read_only="ro" in fields[5].split(",") or "ro" in rest[2].split(","),
                subvolume=(
                    _unescape(rest[2].partition("subvol=")[2].partition(",")[0])
                    if rest[0] == "btrfs"
                    else ""
                ),
            )
        )
    return tuple(mounts)


def here() -> tuple[Mount, ...]:
    """The mounts this process sees, each with a source that exists where its device's name can
    be told.
    """
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
        return tuple(_named(mount) for mount in parse(file.read()))


def covering(mounts: Iterable[Mount], path: str) -> Mount | None:
    """The mount that `path` (absolute, without links) lies on: the one mounted last among the
    longest mountpoints.
    """
    best: Mount | None = None
    for mount in mounts:
        inside = mount.mountpoint in ("/", path) or path.startswith(mount.mountpoint + "/")
        if inside and (best is None or len(mount.mountpoint) >= len(best.mountpoint)):
            best = mount
    return best


def of(root: Root) -> tuple[Mount, ...]:
    """The mounts that this process sees at or under the top of `root`."""
    return below(here(), root)


def below(mounts: Iterable[Mount], root: Root) -> tuple[Mount, ...]:
    """Those of `mounts` that are at or under the top of `root`."""
    top = os.path.realpath(root.path)
    return tuple(
        m for m in mounts if top in ("/", m.mountpoint) or m.mountpoint.startswith(top + "/")
    )


def device_uuid(device: str) -> str:
    """The UUID in the superblock on `device`, empty for a file system that has none known;
    raises `OSError`.
    """
    with open(device, "rb") as file:
        return superblock.read_uuid(file.read(superblock.SIZE))


def _named(mount: Mount) -> Mount:
    if mount.source != ROOT_DEVICE or os.path.exists(ROOT_DEVICE):
        return mount
    name = os.path.basename(os.path.realpath(f"{BLOCK_DEVICES}/{mount.device_number}")).replace(
        "!", "/"
    )
    return replace(mount, source=f"/dev/{name}") if os.path.exists(f"/dev/{name}") else mount


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    for escape, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        field = field.replace(escape, character)
    return field
