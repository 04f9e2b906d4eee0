"""A private mount namespace for GRUB's tools: staging over the live directories, and a tree's own /dev, /proc and /sys.

The namespace ends with its last process, so nothing stays mounted whatever ends this program.
"""

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from guest_hooks.errors import LackingError
from guest_hooks.machine import mounts
from guest_hooks.machine.root import Root

UNSHARE = ("unshare", "--mount", "--propagation", "private", "--")
DEVICES = ("null", "zero", "full", "random", "urandom")
NEEDED_DIRS = ("/dev", "/proc", "/sys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A directory of ours (`source`, as this process names it) laid over a directory of the guest (`path`)."""

    source: str
    path: str


def command(root: Root, argv: Sequence[str], *, binds: Sequence[Bind] = ()) -> list[str]:
    """`argv` as a command that runs inside `root`, with `binds` in place, in a mount namespace of its own if it needs one.

    Raises `LackingError` where the tree has no place for /dev, /proc or /sys.
    """
    if root.is_live and not binds:
        return list(argv)
    steps = [] if root.is_live else _tree_steps(root)
    steps += [["mount", "--bind", bind.source, root.outside(root.resolve(bind.path))] for bind in binds]
    chroot = [] if root.is_live else ["chroot", root.path]
    script = "\n".join(["set -eu", *map(shlex.join, steps), 'exec "$@"'])
    return [*UNSHARE, "sh", "-c", script, "sh", *chroot, *argv]


def bare_command(root: Root, argv: Sequence[str]) -> list[str]:
    """`argv` as a command that runs inside `root` and needs neither devices nor /proc."""
    return list(argv) if root.is_live else ["chroot", root.path, *argv]


def _tree_steps(root: Root) -> list[list[str]]:
    """What a tree needs before GRUB's tools can run in it."""
    places = []
    for path in NEEDED_DIRS:
        if not root.exists(path):
            raise LackingError(
                f"{root.path} has no directory {path}", hint=f"is it the top of a Debian tree? mkdir {root.path}{path}"
            )
        places.append(root.outside(root.resolve(path)))
    dev, proc, sys = places
    steps = [["mount", "-t", "proc", "proc", proc], ["mount", "--rbind", "/sys", sys]]
    disks = _disks(root)
    if not any(disk.is_loop for disk in disks):
        return [*steps, ["mount", "--rbind", "/dev", dev]]
    steps.append(["mount", "-t", "tmpfs", "-o", "mode=755", "dev", dev])
    steps.append(["mkdir", "-p", f"{dev}/disk/by-uuid", f"{dev}/mapper", f"{dev}/shm"])
    steps += [_node(f"{dev}/{name}", "c", os.stat(f"/dev/{name}").st_rdev) for name in DEVICES]
    letters = iter("abcdefghijklmnop")
    for disk in disks:
        steps += disk.steps(dev, f"xvd{next(letters)}" if disk.is_loop else os.path.basename(disk.source))
    return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    """A block device that a tree is mounted from.

    A loop device is shown to the tree as the disk it will be in the guest: grub-mkconfig would follow /dev/loop* to a backing file
    that the tree cannot see (prepare_grub_to_access_device in grub-mkconfig_lib); GRUB follows the link from the mount's source.
    """

    source: str
    number: int
    uuid: str

    @property
    def is_loop(self) -> bool:
        return os.path.basename(self.source).startswith("loop")

    def steps(self, dev: str, name: str) -> list[list[str]]:
        steps = [_node(f"{dev}/{name}", "b", self.number)]
        if name != os.path.basename(self.source):
            steps.append(["ln", "-s", name, f"{dev}/{os.path.basename(self.source)}"])
        if self.uuid:
            steps.append(["ln", "-sf", f"../../{name}", f"{dev}/disk/by-uuid/{self.uuid}"])
        return steps


def _disks(root: Root) -> tuple[_Disk, ...]:
    found: dict[str, _Disk] = {}
    for mount in mounts.below(mounts.here(), root):
        if mount.source.startswith("/dev/") and mount.source not in found and os.path.exists(mount.source):
            status = os.stat(mount.source)
            if stat.S_ISBLK(status.st_mode):
                found[mount.source] = _Disk(source=mount.source, number=status.st_rdev, uuid=mounts.device_uuid(mount.source))
    return tuple(found.values())


def _node(path: str, kind: str, number: int) -> list[str]:
    return ["mknod", path, kind, str(os.major(number)), str(os.minor(number))]
