# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging: where GRUB's tools write, beside the live files.

The running system's staging is a directory in /run. A tree's tools may be hostile, so its staging
is a file system of its own: it has a bound, no name on this machine, and goes with the last process
that has it open.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import libc, removal, sandbox
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.failures import told
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass
from guest_hooks.sizes import size

STAGING_DIR = "/run/xen-guest-bootloader"
STAGING_PREFIX = "staging."
AGAIN = "apt install --reinstall grub-xen-bin grub2-common"
MOST_STAGED_FILES = 4000
"""Names in a tree's staging; a module directory of GRUB 2.14 has about 300."""
STAGED_MARGIN = 4 << 20
MOST_NEEDED = 64 << 20
XEN = "xen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A staging directory, and what of it is laid over directories of `root`.

    `fd` is a tree's own staging, a detached mount, and -1 on the running system.
    """

    root: Root
    top: Root
    fd: int
    binds: Sequence[sandbox.Bind]

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command of the root, for which staging is in place."""
        if self.root.is_live:
            return sandbox.live_command(self.top.path, argv, binds=self.binds)
        return sandbox.tree_command(self.root, argv, staging=self.fd, binds=self.binds)


@contextmanager
def stage(
    root: Root,
    need: int,
    binds: Sequence[sandbox.Bind],
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Stage]:
    """A staging directory for `need` bytes with the directories of `binds` in it, and `files` in
    the one called `XEN`.
    """
    if not root.is_live:
        with detached(need) as fd:
            top = f"/proc/self/fd/{fd}"
            _fill(top, binds, files)
            yield Stage(root=root, top=Root(top), fd=fd, binds=binds)
        return
    with scratch(need) as top:
        with told(Root(), STAGING_DIR, "filled", need=need):
            _fill(top, binds, files)
        yield Stage(root=root, top=Root(top), fd=-1, binds=binds)


def _fill(top: str, binds: Sequence[sandbox.Bind], files: Mapping[str, bytes]) -> None:
    for bind in binds:
        os.mkdir(os.path.join(top, bind.name))
    for name, data in files.items():
        with open(os.path.join(top, XEN, name), "wb") as file:
            file.write(data)


@contextmanager
def detached(need: int) -> Iterator[int]:
    """A file system for what a tree's grub-install makes, `need` bytes and no more than
    `STAGED_MARGIN` beyond them.
    """
    if need > MOST_NEEDED:
        raise NotRepairedError(
            f"GRUB's modules of this tree take {size(need // 2)}, more than any GRUB's do",
            hint=AGAIN,
        )
    try:
        fd = libc.detached_tmpfs(need + STAGED_MARGIN, MOST_STAGED_FILES)
    except OSError as error:
        raise LackingError(
            f"this process may not make a mount namespace (fsopen: {error.strerror})",
            hint="run as root, outside an unprivileged container",
        ) from error
    with closing(fd):
        yield fd


def sweep() -> None:
    """Remove the staging directories that killed runs left; those of living runs, on other
    roots under other locks, stay.
    """
    with suppress(FileNotFoundError):
        for name in os.listdir(STAGING_DIR):
            if name.startswith(STAGING_PREFIX):
                _remove_abandoned(os.path.join(STAGING_DIR, name))


def _remove_abandoned(top: str) -> None:
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    with closing(fd), suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A grub-install that outlived its killed parent may still write here.
        _remove(os.path.basename(top))


@contextmanager
def scratch(need: int) -> Iterator[str]:
    """A staging directory that is locked, and so not swept by a run on another root, for as
    long as this process lives.

    `need` is the bytes that are to be put there.
    """
    with told(Root(), STAGING_DIR, "made", need=need):
        os.makedirs(STAGING_DIR, mode=0o755, exist_ok=True)
    while True:
        name = f"{STAGING_PREFIX}{os.urandom(8).hex()}"
        top = os.path.join(STAGING_DIR, name)
        with told(Root(), STAGING_DIR, "filled", need=need):
            os.mkdir(top, 0o700)
        try:
            with told(Root(), STAGING_DIR, "locked"):
                fd = _locked(top)
            if fd is None:
                continue
            with closing(fd):
                yield top
            return
        finally:
            _remove(name)


def _remove(name: str) -> None:
    """Remove the staging directory `name`; what can't be is for the next sweep."""
    with suppress(OSError), closing(os.open(STAGING_DIR, os.O_DIRECTORY | os.O_CLOEXEC)) as above:
        removal.remove_all(above, name)


def _locked(top: str) -> int | None:
    """A descriptor that holds the lock on `top`, or None where another run's sweep came between
    making and locking it.
    """
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(top):
            return fd
    os.close(fd)
    return None
