# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on a file system, as root has it."""

import os
import shlex

from guest_hooks.errors import LackingError
from guest_hooks.machine import libc
from guest_hooks.machine.barrier import EXT, open_directory
from guest_hooks.machine.failures import told
from guest_hooks.machine.root import Root
from guest_hooks.paths import BOOT
from guest_hooks.sizes import size

OLD_KERNELS = "remove kernels that are not needed any longer: apt autoremove; "
INODE_BYTES = 256
"""mkfs.ext4's inode_size."""


def free(root: Root, path: str) -> int:
    """Bytes that root can still write to the file system that holds `path`; 0 where its inodes
    are used up.
    """
    with told(root, path, "measured"), open_directory(root, path) as fd:
        status = os.fstatvfs(fd)
        is_ext = libc.fs_magic(fd) == EXT
    if _is_out_of_inodes(status):
        return 0
    blocks = status.f_bavail
    if is_ext:
        # Root may use what is reserved for it, but not what ext4 keeps for itself: 2 %, at most
        # 4096 clusters (fs/ext4/super.c, ext4_calculate_overhead and ext4_set_resv_clusters).
        # f_blocks leaves out inode tables and journal, most of a small /boot's overhead, so they
        # are added as mkfs.ext4 makes them; the rest is rounded up.
        inode_tables = status.f_files * INODE_BYTES // status.f_frsize
        journal = max(4096, status.f_blocks // 32)
        blocks = max(
            0, status.f_bfree - min((status.f_blocks + inode_tables + journal) // 47 + 1, 4096)
        )
    return blocks * status.f_frsize


def require(root: Root, path: str, need: int) -> None:
    """Raise `LackingError` unless `need` bytes fit on the file system that holds `path`."""
    have = free(root, path)
    if have < need:
        where = root.outside(path)
        with open_directory(root, path) as fd:
            is_out_of_inodes = _is_out_of_inodes(os.fstatvfs(fd))
        if is_out_of_inodes:
            raise LackingError(
                f"{where} has no room: no inode is free for another file",
                hint="remove files that are not needed any longer;"
                f" see: df --inodes {shlex.quote(where)}",
            )
        step = f"df {shlex.quote(where)}"
        raise LackingError(
            f"{where} has no room: it needs {size(need)}, and {size(have)} are free",
            hint=f"{OLD_KERNELS}see: {step}"
            if root.is_live and path.startswith(BOOT)
            else f"make room: {step}",
        )


def _is_out_of_inodes(status: os.statvfs_result) -> bool:
    return bool(status.f_files) and not status.f_ffree
