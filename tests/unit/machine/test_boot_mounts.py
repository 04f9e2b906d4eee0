# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guest's boot mounts, by its files: fstab, units, and the names of units."""

from pathlib import Path

import pytest

from guest_hooks.errors import UnmountedError
from guest_hooks.formats import fstab
from guest_hooks.machine import boot_mounts, mounts
from guest_hooks.machine.boot_mounts import Expected
from guest_hooks.machine.root import Root

FSTAB = r"""# /boot was on /dev/sda1
UUID=1 / ext4 errors=remount-ro 0 1
UUID=2	/boot/	ext4	noauto
UUID=3 /mnt/a\040b btrfs subvol=/@data/,compress=zstd 0 0
UUID=4 none swap sw 0 0
/dev/sr0 /media swap
proc
UUID=5 /boot xfs
"""
ON_DEMAND = "29 22 0:40 / /boot rw - autofs systemd-1 rw\n"
MOUNTED = "30 29 7:1 / /boot rw - ext4 /dev/loop1 rw\n"


def test_fstab_is_read() -> None:
    found = fstab.parse(FSTAB)
    assert [(entry.what, entry.where, entry.fs_type) for entry in found] == [
        ("UUID=1", "/", "ext4"),
        ("UUID=2", "/boot", "ext4"),
        ("UUID=3", "/mnt/a b", "btrfs"),
        ("UUID=5", "/boot", "xfs"),
    ]
    assert [entry.subvolume for entry in found] == ["", "", "/@data", ""]
    assert fstab.at(found, "/boot") == found[-1]
    assert fstab.at(found, "/srv") is None


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ("/boot", "boot.mount"),
        ("/boot/xen", "boot-xen.mount"),
        ("/my-boot/.a", r"my\x2dboot-.a.mount"),
        ("/.boot", r"\x2eboot.mount"),
        ("/bött", r"b\xc3\xb6tt.mount"),
    ],
)
def test_a_unit_s_name_is_systemd_s(point: str, name: str) -> None:
    """As `systemd-escape --path --suffix=mount` of systemd 252 writes them."""
    assert boot_mounts.unit_name(point, ".mount") == name


@pytest.fixture
def tree(tmp_path: Path) -> Root:
    (tmp_path / "boot").mkdir()
    return Root(str(tmp_path))


def write(tree: Root, path: str, text: str) -> None:
    target = Path(tree.outside(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def test_the_first_unit_of_a_name_counts(tree: Root) -> None:
    assert boot_mounts.wanted(tree, "/boot") is None
    write(tree, "/run/systemd/generator/boot.mount", "[Unit]\nSourcePath=/etc/fstab\n")
    assert boot_mounts.wanted(tree, "/boot") is None
    write(tree, "/usr/lib/systemd/system/boot.automount", "[Automount]\n")
    assert boot_mounts.wanted(tree, "/boot") == Expected(
        point="/boot", by="/usr/lib/systemd/system/boot.automount", unit="boot.automount"
    )
    write(tree, "/etc/systemd/system/boot.automount", "")
    assert boot_mounts.wanted(tree, "/boot") is None
    write(tree, "/etc/fstab", FSTAB)
    assert boot_mounts.wanted(tree, "/boot") == Expected(
        point="/boot", by="/etc/fstab", what="UUID=5"
    )


def test_what_is_mounted_on_demand_must_have_been_mounted(tree: Root) -> None:
    def table(text: str) -> tuple[mounts.Mount, ...]:
        return mounts.parse(text.replace(" /boot ", f" {tree.path}/boot "))

    boot_mounts.require(tree, ())
    boot_mounts.require(tree, table(ON_DEMAND + MOUNTED))
    with pytest.raises(UnmountedError, match="mounted on demand"):
        boot_mounts.require(tree, table(ON_DEMAND))


def test_an_fstab_that_can_t_be_read_is_not_taken_for_an_empty_one(tree: Root) -> None:
    Path(tree.outside("/etc")).mkdir()
    Path(tree.outside("/etc/fstab")).symlink_to("fstab")
    with pytest.raises(OSError, match="Too many levels"):
        boot_mounts.wanted(tree, "/boot")
