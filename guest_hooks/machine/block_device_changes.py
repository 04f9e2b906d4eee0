# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of block devices, from udev by pyudev: another UUID, a disk that came, went or grew."""

import errno
import os

from guest_hooks.errors import LackingError

UDEV_CONTROL = "/run/udev/control"
MOST_EVENTS = 256
"""Taken at a time: in a flood of events the watcher has other things to do in between."""


class BlockDevices:
    """Tells that some block device changed; `fileno` becomes readable, `changed` takes what has
    come.

    Raises `LackingError` where no udev runs: then nobody announces a changed UUID.
    """

    def __init__(self) -> None:
        import pyudev  # noqa: PLC0415 - costs 1.5 MB, and only the watcher needs it

        if not os.path.exists(UDEV_CONTROL):
            raise LackingError(
                "udev does not run, so changes of block devices are not noticed",
                hint="systemctl status systemd-udevd",
            )
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        self._monitor.filter_by("block")
        self._monitor.start()

    def fileno(self) -> int:
        """The descriptor to poll for input."""
        fd: int = self._monitor.fileno()
        return fd

    def changed(self) -> bool:
        """Read the events that wait, `MOST_EVENTS` at most, and return whether there were any.
        More than the kernel could queue are some, too.
        """
        try:
            came = 0
            while came < MOST_EVENTS and self._monitor.poll(timeout=0) is not None:
                came += 1
        except OSError as error:
            # netlink(7): events were dropped, and the next receive goes on
            if error.errno != errno.ENOBUFS:
                raise
            return True
        return came > 0
