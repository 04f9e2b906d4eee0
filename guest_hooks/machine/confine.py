# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one program of a tree that may be hostile: as little as GRUB's tools need, and nothing of
the host.

Not imported: `sandbox` starts this file as a program of its own, with a JSON object that says what
is shown, and the command line of the tree's program. That sees the tree as its `/`, with a /proc, a
/dev and namespaces of its own, has no capability and can gain none. Whatever it started ends with
it, with this process, and with the one that started this process.

Once the tree is `/`, no other program can be trusted: mount(8), setpriv(1) would be the tree's. So
the system calls are made here.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import warnings  # noqa: F401 - os.execvp imports it where it is not there yet
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

FAILED = 125
"""This file's own exit code where the cell can't be made, as env(1) and chroot(1) have it; what
the program leaves is its own.
"""
NOT_EXECUTABLE, NOT_FOUND = 126, 127
STAGING = "/dev/.staging"

# linux/sched.h
NAMESPACES = (
    0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
)  # mnt, cgroup, uts, ipc, pid, net
# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_PRIVATE_ALL = (1 << 14) | (1 << 18)  # MS_REC | MS_PRIVATE
MNT_DETACH = 2
OPEN_TREE_CLONE = 1
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
MOVE_MOUNT_EMPTY_PATH = 4
MOUNT_ATTR_NOSUID_NODEV = 2 | 4
PLAIN = MS_NOSUID | MS_NOEXEC
OWN = (
    ("/proc", b"proc", PLAIN | MS_NODEV | MS_RDONLY, b"subset=pid"),
    ("/sys", b"tmpfs", PLAIN | MS_NODEV | MS_RDONLY, b"size=4k,nr_inodes=1,mode=755"),
    ("/dev", b"tmpfs", PLAIN, b"size=64k,nr_inodes=100,mode=755"),
)
"""The cell's own file systems: path, type, flags, options."""
# linux/prctl.h, linux/capability.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 23, 24, 47, 4
CAPABILITY_VERSION_3 = 0x20080522

GIB = 1 << 30
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: GIB,
    resource.RLIMIT_AS: 2 * GIB,
    resource.RLIMIT_NOFILE: 1024,
}
"""Far above what grub-install and grub-mkconfig use."""

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
INSTRUCTION = 8
"""Bytes of a `struct sock_filter`."""

libc = ctypes.CDLL(None, use_errno=True)


class StepError(Exception):
    """A step of making the cell failed: which, and why."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Make the cell, run the program, end as it ended."""
    cell, command = json.loads(arguments[0]), list(arguments[1:])
    try:
        _die_with(cell["parent"])
        call("unshare", "unshare", NAMESPACES)
        import_no_more()
        child = _fork(lambda: _first(cell, command))
    except StepError as error:
        _fail(error)
    os._exit(_ended(child))


def import_no_more() -> None:
    """Find no module from here on: once the tree is `/`, it would be the tree's, and run with
    all rights.
    """
    for finders in (sys.meta_path, sys.path_hooks, sys.path):
        finders.clear()


def _first(cell: dict[str, Any], command: list[str]) -> int:
    """Run as the namespace's first process: when it ends, the kernel kills all others."""
    call("prctl", "prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _make(cell)
    _confine(bytes.fromhex(cell["refused"]))
    return _ended(_fork(lambda: _become(command)), reap=True)


def _make(cell: dict[str, Any]) -> None:
    """Let the tree be `/`: every path is looked up inside it from here on, by the kernel."""
    call("make mounts private", "mount", b"none", b"/", None, MS_PRIVATE_ALL, None)
    top = _clone(cell["top"])
    below = [(_clone(cell["top"] + path), path) for path in cell["mounts"]]
    staging = []
    if cell["staging"] >= 0:
        path = f"/proc/{cell['parent']}/fd/{cell['staging']}"
        staging.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
    _put(top, cell["top"])
    _enter(top)
    for mount, path in below:
        _put(mount, path)
    for path, kind, flags, options in OWN:
        call(f"mount {path}", "mount", b"none", path.encode(), kind, flags, options)
    _fill_dev(cell)
    for mount in staging:
        os.mkdir(STAGING)
        _put(mount, STAGING)
    for name, path in cell["binds"]:
        staged = os.fsencode(f"{STAGING}/{name}")
        call(f"stage {path}", "mount", staged, os.fsencode(path), None, MS_BIND, None)
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC
    call("make /dev read-only", "mount", b"none", b"/dev", None, flags, None)


def _put(mount: int, path: str) -> None:
    """Mount at `path` what is mounted nowhere yet."""
    where = (AT_FDCWD, os.fsencode(path))
    call(f"mount {path}", "move_mount", mount, b"", *where, MOVE_MOUNT_EMPTY_PATH)


def _enter(top: int) -> None:
    """Let the mount `top` be `/`, and the host's own nowhere."""
    os.fchdir(top)
    call("pivot_root", "pivot_root", b".", b".")
    call("leave the host's root", "umount2", b".", MNT_DETACH)
    os.chdir("/")


def _clone(path: str) -> int:
    """A copy of the mount at `path` alone, without what is mounted below it; a device's node in
    it is no device.
    """
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC
    mount = call(f"look at {path}", "open_tree", AT_FDCWD, os.fsencode(path), flags)
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_NOSUID_NODEV, 0, 0, 0)
    call(
        "set nodev",
        "mount_setattr",
        mount,
        b"",
        AT_EMPTY_PATH,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    return mount


def _fill_dev(cell: dict[str, Any]) -> None:
    """Make the nodes of /dev. The tree's root may read its disks and not write to them: no program
    here has the capability to override a mode.
    """
    for directory in cell["directories"]:
        os.makedirs(directory)
    for path, mode, number in cell["nodes"]:
        os.mknod(path, mode, number)
        os.chmod(path, mode & 0o7777)
    for target, path in cell["links"]:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)


def _confine(refused: bytes) -> None:
    """Drop every capability for good, and what the host keeps for its own root."""
    call("prctl", "prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    capability = 0
    while libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        call("drop capabilities", "prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
        capability += 1
    # What is not dumpable can't be traced, and its /proc/1/exe, a file of the host, can't be
    # opened.
    call("prctl", "prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    call("set no_new_privs", "prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    call("drop capabilities", "capset", ctypes.byref(header), ctypes.byref(none))
    _refuse_calls(refused)
    for what, most in LIMITS.items():
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _refuse_calls(program: bytes) -> None:
    """Load `program`, a filter of system calls that `seccomp` has made."""
    code = ctypes.create_string_buffer(program)
    length = len(program) // INSTRUCTION
    filter_of = struct.pack("HP", length, ctypes.addressof(code))  # linux/filter.h: sock_fprog
    call("refuse system calls", "prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_of, 0, 0)


def _become(command: list[str]) -> int:
    os.setsid()
    # Python ignores it, and an ignored signal stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the point is to have nothing between
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="surrogateescape"))
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _fork(life: Callable[[], int]) -> int:
    """Start a child that runs `life` and exits with its result; return the child's id."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(life())
        except Exception as error:  # noqa: BLE001 - a fork goes no further than here, and says why
            _fail(error)
    return child


def _ended(child: int, *, reap: bool = False) -> int:
    """The exit code of `child` as a shell tells it; `reap`: this process is the one that
    orphans fall to.
    """
    while True:
        pid, status = os.waitpid(-1 if reap else child, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _die_with(parent: int) -> None:
    call("prctl", "prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise StepError("the process that started this one has ended")


def call(what: str, name: str, *arguments: Any) -> int:
    """Call `name` of the C library; raises `StepError`."""
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise StepError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def _fail(error: Exception) -> NoReturn:
    words = str(error) if isinstance(error, StepError | OSError) else repr(error)
    os.write(2, f"{words}\n".encode(errors="surrogateescape"))
    os._exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
