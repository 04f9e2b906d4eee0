# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary user is told of /boot's file system, without grub-probe."""

from types import SimpleNamespace

import pytest
import pyudev

from guest_hooks.machine import disks
from guest_hooks.machine.mounts import Mount

UUID = "0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10"
MOUNT = Mount(
    mountpoint="/",
    root="/",
    fs_type="ext4",
    source="/dev/null",
    device_number="1:3",
    is_read_only=False,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("xvda1", UUID), ("nvme0n1p1", UUID), ("dm-0", ""), ("md127", "")],
    ids=["disk", "nvme", "lvm", "raid"],
)
def test_a_volume_has_no_uuid_that_grub_would_look_for(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SimpleNamespace(sys_name=name, properties={"ID_FS_UUID": UUID})
    monkeypatch.setattr(pyudev.Devices, "from_device_number", lambda *_: device)
    assert disks._udev_uuid(MOUNT) == expected
