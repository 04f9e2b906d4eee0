# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary user is told of /boot's file system, without grub-probe."""

from types import SimpleNamespace

import pytest
import pyudev

from guest_hooks.errors import LackingError
from guest_hooks.machine import boot_features, disks, grub_tools
from guest_hooks.machine.disks import _Lying
from guest_hooks.machine.mounts import Mount
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError
from guest_hooks.paths import BOOT, BOOT_XEN, GRUB_DIR
from guest_hooks.records import replace

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


def test_the_directory_that_grub_can_t_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tmpfs over /boot/xen is no fault of /boot's file system."""
    tmpfs = replace(MOUNT, mountpoint=BOOT_XEN, fs_type="tmpfs", source="none")
    lying = {
        path: _Lying(
            mount=tmpfs if path == BOOT_XEN else MOUNT, there=path, outside=path, below=path
        )
        for path in (BOOT, GRUB_DIR, BOOT_XEN)
    }

    def facts(_root: Root, groups: list[list[str]], _kept: object = None) -> tuple[object, ...]:
        if any(BOOT_XEN in paths for paths in groups):
            raise CommandError(
                "grub-probe failed", stderr=b"failed to get canonical path of `none'."
            )
        return ()

    monkeypatch.setattr(grub_tools, "facts", facts)
    monkeypatch.setattr(grub_tools, "refuses", lambda *_: False)
    monkeypatch.setattr(boot_features, "unreadable", lambda *_args, **_named: None)
    with pytest.raises(LackingError, match=r"of /boot/xen \(tmpfs on none\)") as caught:
        disks._asked(Root(), lying, None)
    assert caught.value.hint.endswith("findmnt -T /boot/xen; grub-probe -v /boot/xen")
