# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB's tools are asked again for: each thing that their answers rest on, changed on real
disks, changes the basis under which an answer is kept.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.machine import directory, grub_basis, grub_tools, mounts, run
from guest_hooks.machine.grub_answers import Answers
from guest_hooks.machine.grub_basis import Basis
from guest_hooks.machine.root import Root
from tests.support import images, loops

SMALL = 64 * images.MIB


def basis(path: Path) -> Basis:
    """The basis of a directory of which it can be told."""
    found = grub_basis.of_directory(str(path), mounts.here())
    assert found is not None
    return found


@pytest.fixture
def another(tmp_path: Path) -> Iterator[images.Filesystem]:
    """A second file system, not mounted."""
    with images.disk(tmp_path, "ext4", size=SMALL) as disk:
        images.tool("umount", str(disk.top))
        yield disk.root


def test_it_is_the_same_while_files_come_and_go(ext4: images.Disk) -> None:
    """What the kernel counts in the superblock, and times of its own there, are no part of it."""
    before = basis(ext4.top / "boot")
    (ext4.top / "boot/file").write_bytes(bytes(images.MIB))
    os.sync()
    assert basis(ext4.top / "boot") == before


def test_another_uuid_is_another_basis_of_the_uuid_alone(ext4: images.Disk) -> None:
    before = basis(ext4.top / "boot")
    images.tool("tune2fs", "-U", "random", ext4.root.device)
    after = basis(ext4.top / "boot")
    assert after.uuid != before.uuid
    assert after.lines == before.lines


def test_a_feature_is_another_basis(ext4: images.Disk) -> None:
    """GRUB may refuse what it has read before."""
    before = basis(ext4.top / "boot")
    images.tool("tune2fs", "-O", "large_dir", ext4.root.device)
    assert basis(ext4.top / "boot").lines != before.lines


def test_another_disk_mounted_there_is_another_basis(
    ext4: images.Disk, another: images.Filesystem
) -> None:
    before = basis(ext4.top / "boot")
    with images.mounted(another, ext4.top / "boot"):
        after = basis(ext4.top / "boot")
    assert (after.lines, after.uuid) != (before.lines, before.uuid)
    assert after.lines != before.lines
    assert basis(ext4.top / "boot") == before


def test_a_clone_in_its_place_is_another_basis(
    ext4: images.Disk, another: images.Filesystem
) -> None:
    """The same UUID and shape on another device: GRUB finds the drive anew."""
    uuid = images.tool("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", ext4.root.device)
    images.tool("tune2fs", "-O", "metadata_csum_seed", "-U", uuid, another.device)
    before = basis(ext4.top / "boot")
    with images.mounted(another, ext4.top / "boot"):
        assert basis(ext4.top / "boot").lines != before.lines


def test_a_bind_mount_is_another_basis(ext4: images.Disk) -> None:
    before = basis(ext4.top / "boot")
    images.tool("mount", "--bind", str(ext4.top / "other"), str(ext4.top / "boot"))
    try:
        assert basis(ext4.top / "boot").lines != before.lines
    finally:
        images.tool("umount", str(ext4.top / "boot"))


def test_a_link_in_its_place_is_another_basis(ext4: images.Disk) -> None:
    before = basis(ext4.top / "boot/grub")
    (ext4.top / "boot/grub").rmdir()
    (ext4.top / "boot/grub").symlink_to("../other")
    try:
        assert basis(ext4.top / "boot/grub").lines != before.lines
    finally:
        (ext4.top / "boot/grub").unlink()
        (ext4.top / "boot/grub").mkdir()


@pytest.mark.parametrize(
    ("fs_type", "change"),
    [
        pytest.param("xfs", "xfs_admin -U generate {device}", id="xfs"),
        pytest.param("btrfs", "btrfstune -f -u {device}", id="btrfs"),
    ],
)
def test_a_uuid_given_while_unmounted_is_another_basis(
    tmp_path: Path, fs_type: str, change: str
) -> None:
    with images.disk(tmp_path, fs_type) as disk:
        before = basis(disk.top)
        images.tool("umount", str(disk.top))
        images.tool(*change.format(device=disk.root.device).split())
        with images.mounted(disk.root, disk.top):
            after = basis(disk.top)
        images.tool("mount", disk.root.device, str(disk.top))
    assert after.uuid != before.uuid


def test_a_subvolume_in_its_place_is_another_basis(tmp_path: Path) -> None:
    with images.disk(tmp_path, "btrfs") as disk:
        (disk.top / "boot").mkdir()
        before = basis(disk.top / "boot")
        (disk.top / "boot").rmdir()
        images.tool("btrfs", "subvolume", "create", str(disk.top / "boot"))
        assert basis(disk.top / "boot").lines != before.lines


def test_of_several_devices_it_is_not_told(tmp_path: Path) -> None:
    with images.disk(tmp_path, "btrfs") as disk:
        assert grub_basis.of_directory(str(disk.top), mounts.here()) is not None
        (tmp_path / "second.img").write_bytes(b"")
        os.truncate(tmp_path / "second.img", images.SIZE)
        with loops.attached(tmp_path / "second.img") as device:
            images.tool("btrfs", "device", "add", "-f", device, str(disk.top))
            os.sync()
            found = grub_basis.of_directory(str(disk.top), mounts.here())
            images.tool("btrfs", "device", "remove", device, str(disk.top))
    assert found is None


def test_of_another_file_system_it_is_not_told(tmp_path: Path) -> None:
    images.tool("mount", "-t", "tmpfs", "tmpfs", str(tmp_path))
    try:
        assert grub_basis.of_directory(str(tmp_path), mounts.here()) is None
    finally:
        images.tool("umount", str(tmp_path))


def test_of_a_volume_it_is_not_told(ext4: images.Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have no device-mapper: a loop device is taken for one."""
    monkeypatch.setattr(grub_basis, "_VOLUMES", ("loop",))
    assert grub_basis.of_directory(str(ext4.top), mounts.here()) is None


def test_a_partition_of_a_volume_is_one(tmp_path: Path) -> None:
    for name in ("sda/sda1", "md0/md0p1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "partition").write_text("1\n")
    (tmp_path / "md0/md").mkdir()
    found = {
        name: grub_basis.is_volume(f"{tmp_path}/{name}")
        for name in ("sda", "sda/sda1", "md0", "md0/md0p1")
    }
    assert found == {"sda": False, "sda/sda1": False, "md0": True, "md0/md0p1": True}


def test_what_names_a_volume_is_asked_again(
    ext4: images.Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guest_hooks.machine.grub_answers.ANSWERS", f"{tmp_path}/answers.json")
    said = [("abstraction", "lvm"), ("drive", "(lvmid/a)")]
    words = [dict(said).get(what, what) for what in (*grub_tools.PROBED, "path")]
    done = run.Completed(code=0, stdout="".join(f"{word}\0" for word in words).encode(), stderr=b"")
    monkeypatch.setattr(grub_tools, "run", lambda *_words, **_options: done)
    answers = Answers(Root())
    grub_tools.facts(Root(), [[str(ext4.top)]], answers)
    answers.save()
    assert not (tmp_path / "answers.json").exists()


def tools(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GRUB's tools in `top`, as a package laid them there a while ago."""
    top.mkdir()
    for name in (grub_basis.PROBE, grub_basis.RELPATH, grub_basis.CHECK):
        (top / name).write_text("#!/bin/sh\n")
    monkeypatch.setattr(run, "PATH", str(top))


def test_an_upgrade_of_grub_is_another_basis(
    ext4: images.Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has lain there for a moment, nothing is kept that it answers."""
    monkeypatch.setattr(directory, "SETTLED", 0.2)
    tools(tmp_path / "old", monkeypatch)
    assert grub_basis.of_directory(str(ext4.top), mounts.here()) is None
    time.sleep(0.25)
    before, check = basis(ext4.top), grub_basis.of_tool(grub_basis.CHECK)
    for name in (grub_basis.PROBE, grub_basis.RELPATH, grub_basis.CHECK):
        (tmp_path / "new").write_text("#!/bin/sh\n")
        (tmp_path / "new").rename(tmp_path / "old" / name)
        time.sleep(0.25)
        after = basis(ext4.top)
        assert name == grub_basis.CHECK or after.lines != before.lines
        before = after
    assert grub_basis.of_tool(grub_basis.CHECK) != check is not None


def test_a_device_map_is_another_basis(
    ext4: images.Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grub_basis, "DEVICE_MAP", str(tmp_path / "device.map"))
    monkeypatch.setattr(directory, "SETTLED", 0.0)
    before = basis(ext4.top)
    (tmp_path / "device.map").write_text("(hd0) /dev/xvda\n")
    assert basis(ext4.top).lines != before.lines


def test_a_partition_table_is_another_basis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a partition on a disk, as sysfs shows it."""
    known = tmp_path / "sys/disk/disk1"
    (tmp_path / "sys/disk/queue").mkdir(parents=True)
    known.mkdir()
    for path, word in (
        ("disk1/partition", "1"),
        ("disk1/start", "2048"),
        ("disk1/size", "4096"),
        ("dev", "8:0"),
        ("queue/logical_block_size", "512"),
    ):
        (tmp_path / "sys/disk" / path).write_text(f"{word}\n")
    monkeypatch.setattr(grub_basis, "DEV", str(tmp_path))
    monkeypatch.setattr(grub_basis, "BLOCK_DEVICES", str(tmp_path / "sys/dev/block"))
    seen = set()
    for kind in ("dos", "gpt"):
        with (tmp_path / "disk").open("wb") as file:
            file.truncate(8 * images.MIB)
        images.tool("sfdisk", "-q", str(tmp_path / "disk"), stdin=f"label: {kind}\n1M,4M\n")
        seen.add(grub_basis.partition(str(known), b""))
    (known / "start").write_text("4096\n")
    seen.add(grub_basis.partition(str(known), b""))
    assert len(seen) == 3
