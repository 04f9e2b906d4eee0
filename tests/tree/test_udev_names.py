# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks by the names and the database that udev's own rules make of them; among them two clones."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from guest_hooks.machine import block_devices
from guest_hooks.machine.run import Completed, run
from guest_hooks.preflight.links import root_fs, twins
from guest_hooks.volumes import BlockDevice
from tests.support import images, loops

UUID = "0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10"
LABEL = "my root"
ENTER = "mount -t tmpfs run /run && mkdir /run/udev && mount --bind $0 /run/udev && exec $@"


def rules(device: str) -> dict[str, str]:
    """What udev's rules make of a device, by udevadm(8)."""
    said = images.tool("udevadm", "test", f"/sys/class/block/{os.path.basename(device)}")
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def record(device: str, database: Path, dev: Path) -> None:
    """Make udev's record of `device` and its links, in directories of ours."""
    fields = rules(device)
    number = os.stat(device).st_rdev
    links = fields.pop("DEVLINKS", "").split()
    lines = [f"S:{link.removeprefix('/dev/')}" for link in links]
    lines += [f"E:{name}={value}" for name, value in fields.items() if name.startswith("ID_")]
    name = database / f"data/b{os.major(number)}:{os.minor(number)}"
    name.write_text("\n".join([*lines, "I:1", "G:systemd", "V:1", ""]))
    for link in links:
        path = dev / link.removeprefix("/dev/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of two that claim one name the later has it
        path.symlink_to(device)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BlockDevice]]:
    """Two disks with one image's bytes, as the program sees them."""
    (tmp_path / "udev/data").mkdir(parents=True)
    one, other = tmp_path / "one.img", tmp_path / "other.img"
    with one.open("wb") as file:
        file.truncate(8 * images.MIB)
    images.tool("mkfs.ext4", "-q", "-F", "-U", UUID, "-L", LABEL, str(one))
    images.tool("cp", "--sparse=always", str(one), str(other))
    with loops.attached(one) as first, loops.attached(other) as second:
        for device in (first, second):
            record(device, tmp_path / "udev", tmp_path / "dev")
        (tmp_path / "dev/mapper").mkdir()
        (tmp_path / "dev/mapper/dmroot").symlink_to("../disk/by-uuid/" + UUID)
        monkeypatch.setattr(block_devices, "DEV", str(tmp_path / "dev"))
        monkeypatch.setattr(block_devices, "_NO_DISKS", ())
        found = block_devices.present(run=partial(inside, tmp_path / "udev"))
        yield [each for each in found if each.path in (first, second)]


def inside(database: Path, command: Sequence[str], *, timeout: int) -> Completed:
    """Run `command` where udev's database is that directory."""
    words = ["unshare", "--mount", "sh", "-ec", ENTER, str(database), *command]
    return run(words, timeout=timeout)


def test_names_of_udevs_lead_to_the_device(clones: list[BlockDevice]) -> None:
    last = clones[-1]
    directory = f"{block_devices.DEV}/disk"
    for name in (
        f"{directory}/by-uuid/{UUID}",
        f"{directory}/by-label/my\\x20root",
        f"{block_devices.DEV}/mapper/dmroot",
    ):
        assert root_fs.find(name, clones) == last, name
    for name in (f"UUID={UUID}", f"LABEL={LABEL}", f"/dev/disk/by-uuid/{UUID}", clones[0].path):
        assert root_fs.find(name, clones) == clones[0], name
    assert root_fs.find(f"UUID={UUID.upper()}", clones) is None


def test_two_clones_are_twins(clones: list[BlockDevice]) -> None:
    assert twins.of(UUID, clones) == tuple(clones)
    found = twins.findings(UUID, clones, [clones[0].path])
    assert [each.thing for each in found] == [clones[1].path]
