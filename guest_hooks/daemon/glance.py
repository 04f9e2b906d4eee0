# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service's cheap look: whether anything is other than the last sync left it."""

import os

from guest_hooks.config import LOCAL_DIR, MAIN_FILE, VENDOR_DIR
from guest_hooks.machine import boot_mounts, fingerprint, mounts
from guest_hooks.machine.root import Root
from guest_hooks.paths import BOOT, BOOT_XEN, GRUB_CFG, MENU_LST
from guest_hooks.targets import TARGETS

_SUBJECTS = (
    *(("dir", path) for path in (BOOT_XEN, VENDOR_DIR, LOCAL_DIR)),
    *(("dir", path) for target in TARGETS.values() for path in (target.grub_dir, target.lib_dir)),
    *(("stat", path) for path in (MAIN_FILE, GRUB_CFG, MENU_LST)),
    ("fs", BOOT),
    ("kernels", BOOT),
    ("kernels", "/"),
)


class Glance:
    """Compares the running system with its fingerprint, or without one with what was there when
    the last repair ended.

    A sync that leaves something to say (a warning, a second stage held by `rollback`) leaves no
    fingerprint, and another one would change nothing; so after a repair that succeeded only what
    has changed since counts.
    """

    def __init__(self, path: str = fingerprint.FINGERPRINT) -> None:
        self._path = path
        self._left: tuple[str, ...] = ()
        self._is_repaired = False

    def differences(self) -> tuple[str, ...]:
        """The paths that differ; that of the fingerprint where there should be one.

        A /boot that is mounted on demand, and that nobody has asked for, is as it was left: a look
        would mount it. Raises `UnmountedError` where what the guest's boot mounts there is not
        mounted: a repair could only write beneath it.
        """
        table = mounts.here()
        own = mounts.covering(table, os.path.realpath(BOOT))
        if own is not None and own.is_on_demand:
            return ()
        found = self._differences()
        if found:
            boot_mounts.require(Root(), table)
        return found

    def _differences(self) -> tuple[str, ...]:
        if os.path.exists(self._path):
            return fingerprint.differing(self._path)
        changed = tuple(
            line.split("\t")[1] for line in _measured() if self._left and line not in self._left
        )
        return changed if self._is_repaired else (self._path, *changed)

    def remember(self, *, is_repaired: bool) -> None:
        """A repair has just ended; `is_repaired` where it reported success."""
        self._is_repaired = is_repaired
        self._left = _measured()


def _measured() -> tuple[str, ...]:
    table = mounts.here()
    covering = [mounts.covering(table, path) for path in (os.path.realpath(BOOT), "/")]
    devices = dict.fromkeys(mount.source for mount in covering if mount is not None)
    return fingerprint.measured([*_SUBJECTS, *(("uuid", device) for device in devices)])
