# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices by the names that udev gives them, and two of them with one UUID."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.machine import block_devices
from guest_hooks.model import Severity
from guest_hooks.preflight import facts
from guest_hooks.preflight.links import root_fs, twins
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.boot import RootProblem, Stage1Problem
from guest_hooks.volumes import BlockDevice
from tests.support.boot_damage import EARLIER, SECOND, set_root
from tests.support.boot_tree import OWN, UUID, BootTree

MOUNTED = replace(OWN, mountpoints=("/",))
CLONE = replace(SECOND, uuid=UUID)
SNAPSHOT = BlockDevice(
    path="/dev/mapper/dmroot", type="dm", fs_type="ext4", uuid=UUID, parent="xvda1"
)


def tree_with(tmp_path: Path, *devices: BlockDevice) -> BootTree:
    tree = BootTree(tmp_path)
    tree.devices = (tree.devices[0], *devices)
    for device in devices:
        tree.disks.files[device.path] = ()
    return tree


@pytest.mark.parametrize(
    "value",
    [
        "/dev/mapper/dmroot",
        "/dev/disk/by-id/xen-1",
        "UUID=" + UUID,
        "/dev/xvda1",
    ],
)
def test_a_link_of_udevs_is_the_device_that_it_leads_to(tmp_path: Path, value: str) -> None:
    own = replace(MOUNTED, names=("/dev/mapper/dmroot", "/dev/disk/by-id/xen-1"))
    tree = tree_with(tmp_path, own)
    set_root(f"root={value}")(tree)
    assert tree.preflight().findings == ()


def test_the_kernel_itself_reads_letters_of_either_kind() -> None:
    words = [f"root=PARTUUID={OWN.part_uuid.upper()}"]
    found = root_fs.findings(words, "First", [OWN], Steps(), has_initrd=True)
    assert [each.code for each in found] == [RootProblem.MISSING]
    assert f"{OWN.path} has it in other letters" in found[0].message
    assert root_fs.findings(words, "First", [OWN], Steps(), has_initrd=False) == ()


def test_links_are_read_from_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_devices, "DEV", str(tmp_path))
    (tmp_path / "xvda3").touch()
    (tmp_path / "mapper").mkdir()
    (tmp_path / "mapper/dmroot").symlink_to("../xvda3")
    (tmp_path / "root").symlink_to("mapper/dmroot")
    links = block_devices._links()
    assert sorted(links[str(tmp_path / "xvda3")]) == [
        str(tmp_path / "mapper/dmroot"),
        str(tmp_path / "root"),
    ]


def test_the_name_that_this_boot_used_is_the_roots() -> None:
    gone = "/dev/mapper/made-by-the-initrd"
    assert not os.path.exists(gone)
    (named, other) = facts._with_booted_name([MOUNTED, CLONE], f"root={gone} ro")
    assert (named.names, other.names) == ((gone,), ())
    assert root_fs.find(gone, [named, other]) == named
    assert facts._with_booted_name([MOUNTED], f"root=UUID={UUID}") == (MOUNTED,)


def test_of_two_with_one_uuid_the_mounted_one_is_the_guests(tmp_path: Path) -> None:
    boot = replace(BootTree(tmp_path).boot, device="/dev/disk-that-udev-does-not-know")
    assert facts.own_devices(boot, (CLONE, MOUNTED)) == (MOUNTED.path,)
    assert facts.own_devices(boot, (MOUNTED, CLONE)) == (MOUNTED.path,)


@pytest.mark.parametrize(
    ("other", "severity", "stops"),
    [
        pytest.param(CLONE, Severity.WARNING, False, id="behind"),
        pytest.param(replace(EARLIER, uuid=UUID), Severity.ERROR, True, id="before"),
    ],
)
def test_a_clone_that_is_attached_is_found(
    tmp_path: Path, other: BlockDevice, severity: Severity, stops: bool
) -> None:
    tree = tree_with(tmp_path, MOUNTED, other)
    (found,) = tree.preflight().findings
    assert (found.code, found.thing) == (Stage1Problem.UUID_TWICE, other.path)
    assert (found.severity, found.stops) == (severity, stops)
    assert found.hint == (
        f"give it another UUID: tune2fs -U random {other.path}; or detach {other.path}"
    )


def test_nobody_is_told_to_detach_what_is_mounted(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, CLONE, MOUNTED)
    set_root(f"root=UUID={UUID}")(tree)
    (found,) = tree.preflight().findings
    assert found.code is RootProblem.TWICE
    assert f"detach {CLONE.path}" in found.hint
    assert MOUNTED.path not in found.hint
    assert "detach /" not in twins.step((MOUNTED, replace(CLONE, mountpoints=("/mnt",)))).words


@pytest.mark.parametrize(
    "devices",
    [
        pytest.param((MOUNTED, SNAPSHOT), id="a-volume-on-it"),
        pytest.param(
            (replace(MOUNTED, fs_type="btrfs"), replace(CLONE, fs_type="btrfs")), id="one-btrfs"
        ),
        pytest.param((MOUNTED, SECOND), id="another-uuid"),
    ],
)
def test_what_is_no_twin(devices: tuple[BlockDevice, ...]) -> None:
    assert twins.of(UUID, devices) == ()
    assert twins.of("", devices) == ()
