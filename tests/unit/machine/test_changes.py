# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of mounts and of block devices, as the kernel and udev tell them."""

import errno
import os
from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import block_device_changes
from guest_hooks.machine.mount_changes import MountChanges
from guest_hooks.machine.root import Root


def test_mounts_that_do_not_concern_the_paths_are_no_change() -> None:
    changes = MountChanges(Root(), ["/boot", "/usr/lib/grub"])
    try:
        assert not changes.changed()
        mount = changes.mount_of("/boot")
        assert mount is not None
        assert os.path.realpath("/boot").startswith(mount.mountpoint)
    finally:
        changes.close()


@pytest.mark.filterwarnings("error")
def test_without_udev_block_devices_are_told_as_a_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(block_device_changes, "UDEV_CONTROL", str(tmp_path / "none"))
    with pytest.raises(LackingError, match="udev does not run"):
        block_device_changes.BlockDevices()


class Flood:
    """A monitor of udev's that always has one more, or has dropped some."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.polls = 0

    def poll(self, timeout: float) -> object:
        assert timeout == 0
        self.polls += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return object()


def test_a_flood_of_block_devices_is_taken_in_parts() -> None:
    devices = block_device_changes.BlockDevices.__new__(block_device_changes.BlockDevices)
    devices._monitor = flood = Flood()
    assert devices.changed()
    assert flood.polls == block_device_changes.MOST_EVENTS


def test_more_block_devices_than_the_kernel_keeps_are_a_change() -> None:
    devices = block_device_changes.BlockDevices.__new__(block_device_changes.BlockDevices)
    devices._monitor = Flood(errno.ENOBUFS)
    assert devices.changed()
