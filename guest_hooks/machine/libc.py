# SPDX-License-Identifier: GPL-3.0-or-later
"""The few calls of the C library that Python does not have; each raises `OSError` and is
repeated where a signal interrupts it.

`ctypes` is loaded at the first call: a run that changes nothing never pays for it.
"""

import errno
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from guest_hooks.machine.descriptors import closing

if TYPE_CHECKING:
    import ctypes

RENAME_NOREPLACE = 1  # linux/fs.h
RENAME_EXCHANGE = 2
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1  # linux/mount.h
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MCL_CURRENT = 1  # asm-generic/mman.h
MCL_FUTURE = 2
AT_FDCWD = -100  # linux/fcntl.h
OPEN_TREE_CLONE = 1  # linux/mount.h
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def syncfs(fd: int) -> None:
    """Write out all that the file system of `fd` holds back; one that was opened as a path alone
    (O_PATH) does not do.
    """
    _call("syncfs", fd)


def fs_magic(fd: int) -> int:
    """The file system's type as `statfs` tells it (linux/magic.h)."""
    import ctypes  # noqa: PLC0415

    # f_type comes first in struct statfs64 and is a word long; the rest is of no interest.
    words = (ctypes.c_ulong * 64)()
    _call("fstatfs64", fd, ctypes.byref(words))
    return int(words[0]) & 0xFFFFFFFF


def detached_tmpfs(size: int, inodes: int) -> int:
    """A descriptor of the top of a new file system in memory, of `size` bytes, that is mounted
    nowhere and ends with its users.
    """
    with closing(_call("fsopen", b"tmpfs", FSOPEN_CLOEXEC)) as context:
        for key, value in ((b"size", size), (b"nr_inodes", inodes)):
            _call("fsconfig", context, FSCONFIG_SET_STRING, key, str(value).encode(), 0)
        _call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _call("fsmount", context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)


def rename2(old_fd: int, old: str, new_fd: int, new: str, flags: int) -> None:
    """Rename with `RENAME_NOREPLACE` or `RENAME_EXCHANGE`, both names relative to their
    directories.
    """
    _call("renameat2", old_fd, os.fsencode(old), new_fd, os.fsencode(new), flags)


def clone_mount(path: str) -> int:
    """A descriptor of a mount of its own of the directory `path`, without what is mounted below
    it (open_tree(2), Linux 5.2).
    """
    return _call("open_tree", AT_FDCWD, os.fsencode(path), OPEN_TREE_CLONE | os.O_CLOEXEC)


def lock_memory() -> None:
    """Bring this process's memory in and keep it there."""
    _call("mlockall", MCL_CURRENT | MCL_FUTURE)


def adopt_orphans(is_wanted: bool) -> None:
    """Whether a process below this one that loses its parent becomes this one's child."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, int(is_wanted), 0, 0, 0)


@cache
def _library() -> "ctypes.CDLL":
    import ctypes  # noqa: PLC0415

    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> int:
    import ctypes  # noqa: PLC0415

    while (result := int(getattr(_library(), name)(*arguments))) < 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return result
