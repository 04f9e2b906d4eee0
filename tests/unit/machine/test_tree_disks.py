# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes a tree calls its own, and which partition table its disk is in."""

from pathlib import Path

import pytest

from guest_hooks.machine import root as roots
from guest_hooks.machine import tree_disks
from guest_hooks.machine.root import Root

FSTAB = """# /dev/mapper/comment-only / ext4
/dev/mapper/guest-root / ext4 errors=remount-ro 0 1
/dev/my-group/boot-1 /boot ext4 defaults 0 2
UUID=0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10 /srv ext4 defaults 0 2
/dev/xvda3 none swap sw 0 0
"""


def test_a_guest_s_own_volumes_are_those_that_its_fstab_names(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/fstab").write_text(FSTAB)
    assert tree_disks._volumes_in_fstab(Root(str(tmp_path))) == {"guest-root", "my--group-boot--1"}


@pytest.mark.parametrize(
    ("at", "magic", "found"),
    [
        pytest.param(510, b"\x55\xaa", ("msdos",), id="mbr"),
        pytest.param(512, b"EFI PART", ("gpt",), id="gpt"),
        pytest.param(4096, b"EFI PART", ("gpt",), id="gpt-of-4096-bytes"),
        pytest.param(0, b"", ("msdos", "gpt"), id="neither-is-not-known"),
    ],
)
def test_a_partition_table_is_read(
    tmp_path: Path, at: int, magic: bytes, found: tuple[str, ...]
) -> None:
    disk = bytearray(8192)
    disk[at : at + len(magic)] = magic
    (tmp_path / "disk").write_bytes(disk)
    assert tree_disks._partition_map(str(tmp_path / "disk")) == found


def test_files_that_are_read_together_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "MOST_FILES", 5)
    monkeypatch.setattr(roots, "MAX_READ", 30)
    for number in range(9):
        (tmp_path / f"{number}").write_bytes(b"ten bytes.")
    assert list(Root(str(tmp_path)).files("/", lambda _: True)) == ["0", "1", "2"]
    monkeypatch.setattr(roots, "MAX_READ", 3000)
    assert list(Root(str(tmp_path)).files("/", lambda _: True)) == ["0", "1", "2", "3", "4"]
