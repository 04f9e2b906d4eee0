# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether only root can do anything on a file system, so that nobody else can keep a write to
it under way.
"""

import os
import stat

from guest_hooks.machine import mounts

STACKED = frozenset({"overlay", "ecryptfs"})
"""What writes to another file system in its users' name."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""An ACL's mask counts as the group's (acl(5))."""


def is_roots_alone(device: int) -> bool:
    """Whether the file system of that device number lets nobody but root in.

    Its top has mode 0700 and is root's, it is mounted nowhere from below that, and nothing that
    stacks on others is mounted. That nobody else may write is not enough: who may list a directory
    can hold its lock for ever, by a buffer in a FUSE file whose pages never come, and a mkdir
    there, refused in the end, waits for the lock as a write under way. On XFS a file that others
    may read does the same, with chmod. What root opened for others is root's own doing.
    """
    there = mounts.here()
    of_it = [
        mount for mount in there if mount.device_number == f"{os.major(device)}:{os.minor(device)}"
    ]
    if any(mount.fs_type in STACKED for mount in there) or any(
        mount.root != "/" for mount in of_it
    ):
        return False
    return any(_is_closed(mount.mountpoint, device) for mount in of_it)


def _is_closed(top: str, device: int) -> bool:
    try:
        status = os.stat(top)
    except OSError:
        return False
    return status.st_dev == device and status.st_uid == 0 and not status.st_mode & _OTHERS
