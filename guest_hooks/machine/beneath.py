# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies beneath a mount: files of the directory that it was mounted on, which the guest
does not see and stage 1 does.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from guest_hooks.machine import libc, mounts
from guest_hooks.machine.boot_mounts import ways
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass

BIND = "/mnt"
"""Where the commands that remove them bind the file system: a directory of every Debian system
(FHS 3.13).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Files, by their paths from the top of the file system on `device`, that a mount hides;
    `removal` is what removes them.
    """

    device: str
    paths: tuple[str, ...]
    removal: str


def hidden(root: Root, paths: Iterable[str]) -> tuple[Hidden, ...]:
    """Which of `paths` (from the top of a file system) lie beneath the mounts on the way to the
    boot files.

    Raises `OSError` where that can't be looked at: only root may, and only where mounts are
    allowed.
    """
    table = mounts.of(root)
    found = (_beneath(mount, points, paths) for mount, points in _parents(root, table))
    return tuple(each for each in found if each is not None)


def _parents(root: Root, table: Sequence[Mount]) -> Iterator[tuple[Mount, tuple[str, ...]]]:
    """The mounts on which others are mounted on the way, each with the directories that those
    hide.
    """
    covers: dict[Mount, list[str]] = {}
    for path in ways(root):
        where = os.path.realpath(root.outside(path))
        if any(mount.mountpoint == where for mount in table):
            parent = mounts.covering((mount for mount in table if mount.mountpoint != where), where)
            if parent is not None:
                covers.setdefault(parent, []).append(where)
    return ((mount, tuple(dict.fromkeys(points))) for mount, points in covers.items())


def _beneath(mount: Mount, points: Sequence[str], paths: Iterable[str]) -> Hidden | None:
    tops = tuple(f"{mount.place(point)}/" for point in points)
    inside = {
        path: f"/{path.removeprefix(mount.root).lstrip('/')}"
        for path in paths
        if path.startswith(tops)
    }
    with _alone(mount.mountpoint) as tree:
        found = {path: name for path, name in inside.items() if tree.exists(name)}
    if not found:
        return None
    names = shlex.join(f"{BIND}{name}" for name in found.values())
    removal = f"mount --bind {shlex.quote(mount.mountpoint)} {BIND} && rm {names} && umount {BIND}"
    return Hidden(device=mount.source, paths=tuple(found), removal=removal)


@contextmanager
def _alone(path: str) -> Iterator[Root]:
    """The mount at `path` without those on it."""
    with closing(libc.clone_mount(path)) as fd:
        yield Root(f"/proc/self/fd/{fd}")
