# SPDX-License-Identifier: GPL-3.0-or-later
"""Where GRUB's tools run: staging laid over the live directories, or inside a tree that may be
hostile.

On the running system they are the guest's own programs: a mount namespace for staging is all they
get. A tree's are strangers, see `confine`. Either namespace ends with its last process, so nothing
stays mounted whatever ends this program.
"""

import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from guest_hooks.errors import LackingError
from guest_hooks.machine import seccomp, tree_disks
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError
from guest_hooks.machine.tree_disks import TreeDisk
from guest_hooks.paths import BOOT
from guest_hooks.records import dataclass

CONFINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "confine.py")
CANNOT_CONFINE = 125
"""What `confine` exits with where it can't make its namespaces (its FAILED); importing it would
cost each run ctypes.
"""
NO_MOUNT, CANNOT_MOUNT = 121, 122
"""What our shell exits with before GRUB's program runs; none of GRUB's ends so."""
UNSHARE = ("unshare", "--mount", "--propagation", "private", "--")
DEVICES = ("null", "zero", "full", "random", "urandom")
NEEDED_DIRS = ("/dev", "/proc", "/sys")
STREAMS = ("stdin", "stdout", "stderr")
LETTERS = "abcdefghijklmnop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """The directory `name` of a staging directory, laid over a directory of the guest (`path`)."""

    name: str
    path: str


def live_command(staging: str, argv: Sequence[str], *, binds: Sequence[Bind]) -> list[str]:
    """`argv` as a command of the running system, in a mount namespace where `binds` of the
    directory `staging` are in place.
    """
    root = Root()
    steps = [
        ["mount", "--bind", os.path.join(staging, bind.name), root.resolve(bind.path)]
        for bind in binds
    ]
    look = f"command -v mount >/dev/null || exit {NO_MOUNT}"
    mounts = [f"{shlex.join(step)} || exit {CANNOT_MOUNT}" for step in steps]
    script = "\n".join([look, *mounts, 'exec "$@"'])
    return [*UNSHARE, "sh", "-c", script, "sh", *argv]


def tree_command(
    root: Root, argv: Sequence[str], *, staging: int = -1, binds: Sequence[Bind] = ()
) -> list[str]:
    """`argv` as a command that runs inside the tree `root`, confined, with `binds` of the
    detached mount `staging` in place.

    Raises `LackingError` where the tree has no place for /dev, /proc or /sys, or its disk can't be
    shown to it alone.
    """
    for path in NEEDED_DIRS:
        if not root.exists(path):
            raise LackingError(
                f"{root.path} has no directory {path}",
                hint=f"is it the top of a Debian tree? mkdir {shlex.quote(root.path + path)}",
            )
    disks = tree_disks.of(root)
    if not {"/", BOOT} & {path for disk in disks for path in disk.paths}:
        raise LackingError(
            f"{root.path} is on no disk of its own that its GRUB could be shown",
            hint="mount the guest's disk or image",
        )
    for disk in disks:
        if disk.is_volume:
            raise LackingError(
                f"{disk.source}, which holds {disk.paths[0]} of the tree, is a volume (LVM, LUKS or"
                " RAID) of the guest's own: its GRUB could work on it only with all rights on this"
                " host",
                hint="start the guest, by the host's own GRUB if need be, and run this inside it",
            )
    cell = {
        "parent": os.getpid(),
        "top": root.path,
        "mounts": sorted(path for disk in disks for path in disk.paths if path != "/"),
        "directories": ["/dev/disk/by-uuid", "/dev/mapper"],
        **_dev(disks),
        "refused": seccomp.program().hex(),
        "staging": staging,
        "binds": [[bind.name, bind.path] for bind in binds],
    }
    return [sys.executable, "-I", "-S", CONFINE, json.dumps(cell), *argv]


def _dev(disks: Sequence[TreeDisk]) -> dict[str, list[list[object]]]:
    """The nodes and links of a tree's /dev: its own disks as xvda, xvdb …, for that is what
    they are in the guest.

    grub-mkconfig would follow /dev/loop* to a backing file that the tree cannot see
    (prepare_grub_to_access_device in grub-mkconfig_lib); from the mount's source GRUB follows a
    link.
    """
    nodes: list[list[object]] = [
        [f"/dev/{name}", stat.S_IFCHR | 0o666, os.stat(f"/dev/{name}").st_rdev] for name in DEVICES
    ]
    links: list[list[object]] = [["/proc/self/fd", "/dev/fd"]]
    links += [[f"fd/{number}", f"/dev/{name}"] for number, name in enumerate(STREAMS)]
    sources = {disk.source for disk in disks}
    names = [name for letter in LETTERS if f"/dev/{(name := f'xvd{letter}')}" not in sources]
    for disk, name in zip(disks, names, strict=False):
        nodes.append([f"/dev/{name}", stat.S_IFBLK | 0o400, disk.number])
        links.append([f"/dev/{name}", disk.source])
        if disk.uuid and "/" not in disk.uuid:
            links.append([f"../../{name}", f"/dev/disk/by-uuid/{disk.uuid}"])
    return {"nodes": nodes, "links": links}


@contextmanager
def namespace() -> Iterator[None]:
    """`LackingError` where what runs in here may not have the namespaces that it needs."""
    try:
        yield
    except CommandError as error:
        if error.code == NO_MOUNT:
            raise LackingError("mount is not installed", hint="apt install mount") from error
        if error.code == CANNOT_MOUNT:
            raise LackingError(
                f"the staging directory can't be mounted over GRUB's own ({error.said})",
                hint="run as root, outside an unprivileged container",
            ) from error
        if (
            error.code == CANNOT_CONFINE
            or "unshare failed" in error.stderr
            or "unshare: " in error.stderr
        ):
            raise LackingError(
                f"this process may not make a mount namespace ({error.said})",
                hint="run as root, outside an unprivileged container",
            ) from error
        raise
