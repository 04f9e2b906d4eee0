# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reading of fstab beside systemd's own generator: the same disks are waited for."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import fstab
from guest_hooks.preflight.links import root_fs
from guest_hooks.volumes import BlockDevice
from tests.support import freezing, images, loops

GENERATOR = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
REQUIRES = "local-fs.target.requires"
"""What is in here fails local-fs.target, which starts emergency.target: systemd.special(7)."""
OPTIONS = (
    "defaults",
    "nofail",
    "noauto",
    "x-systemd.automount",
    "nofail,x-systemd.automount",
    "_netdev",
    "rw,noatime,x-systemd.device-timeout=5",
    "noauto,x-systemd.required-by=local-fs.target",
    "errors=remount-ro",
    "nofail,fail",
    "fail,nofail",
    "noauto,auto",
    "auto,noauto",
    "x-systemd.wanted-by=a.service",
    "x-systemd.required-by=a.service",
    "x-systemd.wanted-by=local-fs.target",
    "x-systemd.growfs",
    "nofail\r",
    "nofail\N{NO-BREAK SPACE}",
    "nofail\t0",
)
UUID = "11111111-2222-3333-4444-555555555555"


def generated(directory: Path, text: str) -> Path:
    """The units that systemd's generator makes of an fstab."""
    (directory / "fstab").write_text(text)
    made = [directory / name for name in ("normal", "early", "late")]
    for each in made:
        each.mkdir()
    subprocess.run(
        [GENERATOR, *map(str, made)],
        env={"SYSTEMD_FSTAB": str(directory / "fstab")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return made[0]


def is_required(units: Path) -> bool:
    return (units / REQUIRES / "data.mount").is_symlink()


@pytest.mark.parametrize("options", OPTIONS)
def test_what_the_boot_waits_for(tmp_path: Path, options: str) -> None:
    line = f"UUID={UUID} /data ext4 {options}\n"
    (entry,) = fstab.disks(line)
    assert entry.is_waited_for is is_required(generated(tmp_path, line))


@pytest.mark.parametrize("fs_type", ["auto", "btrfs", "gfs2", "ocfs2", "xfs"])
def test_what_a_network_is_needed_for_is_waited_for_later(tmp_path: Path, fs_type: str) -> None:
    line = f"UUID={UUID} /data {fs_type} defaults 0 2\n"
    (entry,) = fstab.disks(line)
    assert entry.is_waited_for is is_required(generated(tmp_path, line))


@pytest.mark.parametrize(
    "line",
    [
        'LABEL="my data" /data ext4 defaults 0 2',
        f"UUID={UUID} none",
        f"UUID={UUID}\N{NO-BREAK SPACE}/data ext4 defaults 0 2",
    ],
)
def test_a_line_without_a_place_counts_for_nothing(tmp_path: Path, line: str) -> None:
    assert fstab.disks(f"{line}\n") == ()
    assert not is_required(generated(tmp_path, f"{line}\n"))


def test_small_and_capital_letters_differ(tmp_path: Path) -> None:
    """For systemd, which waits for udev's link, and for blkid, which initramfs-tools asks."""
    units = generated(tmp_path, f"UUID={UUID.replace('1', 'A')} /data ext4 defaults 0 2\n")
    what = f"What=/dev/disk/by-uuid/{UUID.replace('1', 'A')}\n"
    assert what in (units / "data.mount").read_text()
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(8 * images.MIB)
    uuid = "aaaaaaaa-2222-3333-4444-555555555555"
    with loops.attached(tmp_path / "disk.img") as device:
        images.tool("mkfs.ext4", "-q", "-U", uuid, device)
        for name, found in ((uuid, device), (uuid.upper(), "")):
            words = ["blkid", "-c", "/dev/null", "-l", "-t", f"UUID={name}", "-o", "device"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            assert done.stdout.strip() == found
            disk = BlockDevice(path=device, type="disk", uuid=uuid)
            assert (root_fs.find(f"UUID={name}", [disk]) is disk) is bool(found)


@pytest.mark.parametrize(
    ("what", "becomes_writable"),
    [
        pytest.param("UUID=11111111-2222-3333-4444-555555555555", False, id="uuid-that-is-gone"),
        pytest.param("LABEL=gone", False, id="label-that-is-gone"),
        pytest.param("/dev/vda1", True, id="a-path-is-not-looked-at"),
    ],
)
def test_what_a_remount_of_the_root_makes_of_its_line(
    tmp_path: Path, what: str, becomes_writable: bool
) -> None:
    """As systemd-remount-fs has mount(8) do it: from read-only, with the line of /etc/fstab."""
    with images.disk(tmp_path / "disk", "ext4") as disk:
        top, table = str(disk.top), tmp_path / "fstab"
        images.tool("mount", "-o", "remount,ro", disk.root.device, top)
        table.write_text(f"{what} {top} ext4 defaults 0 1\n")
        done = subprocess.run(
            ["mount", top, "-o", "remount"],
            env={"LIBMOUNT_FSTAB": str(table), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode == 0) is becomes_writable
        assert freezing.is_writable(disk.top) is becomes_writable
