# SPDX-License-Identifier: GPL-3.0-or-later
"""preflight on real trees whose second stage or place is unusual: made by GRUB's own tools, or in
a subvolume.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.formats import command_list
from guest_hooks.formats.grub_commands import LOADERS
from tests.support import grub_versions, images
from tests.support.debian_layouts import Layout, debian
from tests.support.debian_tree import BOOTABLE, Kind, Suite, tarball, unpack
from tests.support.outside_guest import OutsideGuest
from tests.tree.test_preflight import codes

PV = "x86_64-xen"
FILE = "/boot/xen/pvboot-x86_64.elf"
LACKING = ("search_fs_uuid", "normal", "linux", "configfile")
"""A core image of these finds no file system: it has no driver of one."""


def grub(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_second_stages_of_grub_s_own_tools(tmp_path: Path) -> None:
    with debian(tmp_path, Layout(suite=Suite.BOOKWORM), PV) as tree:
        library = str(tree.path(f"/usr/lib/grub/{PV}"))
        grub(
            *("grub-install", f"--target={PV}", f"--directory={library}"),
            *(f"--boot-directory={tree.path('/boot')}", "--locales="),
        )
        answer = tree.run("preflight", "--json", f"--target={PV}", code=3).json
        assert answer["will_boot"] is True, answer["findings"]
        assert codes(tree) == {"second-stage-modules-missing"}

        config = tmp_path / "load.cfg"
        config.write_text(
            f"search.fs_uuid {tree.disk.root.uuid} root \nset prefix=($root)'/boot/grub'\n"
        )
        grub(
            *("grub-mkimage", "-O", PV, "-d", library, "-p", "/boot/grub", "-c", str(config)),
            *("-o", str(tree.path(FILE)), *LACKING),
        )
        answer = tree.run("preflight", "--json", f"--target={PV}", code=3).json
        assert answer["will_boot"] is False
        (finding,) = [each for each in answer["findings"] if each["stops"]]
        assert finding["code"] == "second-stage-modules-missing"
        assert "ext2" not in finding["message"], "it must be cut short here, or nothing is tested"


@contextmanager
def in_a_subvolume(directory: Path) -> Iterator[tuple[OutsideGuest, str]]:
    """A Debian whose root is the btrfs subvolume @rootfs, as Debian's installer makes it, and its
    device.
    """
    with images.disk(directory, "btrfs", size=1800 * images.MIB) as disk:
        device, top = disk.root.device, str(disk.top)
        images.tool("btrfs", "subvolume", "create", f"{top}/@rootfs")
        images.tool("umount", top)
        images.tool("mount", "-o", "subvol=@rootfs", device, top)
        unpack(tarball(Suite.BOOKWORM, Kind.MINIMAL, extra=BOOTABLE), disk.top)
        line = f"UUID={disk.root.uuid} / btrfs defaults,subvol=@rootfs 0 0\n"
        (disk.top / "etc/fstab").write_text(line)
        tree = OutsideGuest(disk=replace(disk, boot=disk.root), suite=Suite.BOOKWORM)
        tree.run("sync", f"--target={PV}")
        yield tree, device


def test_a_root_in_a_subvolume_from_outside(tmp_path: Path) -> None:
    """GRUB reads from the top of a btrfs, whatever the tree is mounted by."""
    with in_a_subvolume(tmp_path / "disk") as (tree, device):
        answer = tree.run("preflight", "--json", f"--target={PV}", code=3).json
        assert [each["code"] for each in answer["findings"]] == ["stage1-finds-nothing"]
        assert images.tool("grub-fstest", device, "ls", "(loop0)/").split() == ["@rootfs/"]
        above = tmp_path / "above"
        above.mkdir()
        images.tool("mount", "-o", "subvolid=5", device, str(above))
        (above / "boot").symlink_to("@rootfs/boot")
        images.tool("umount", str(above))
        answer = tree.run("preflight", "--json", f"--target={PV}").json
        assert answer["findings"] == []
        assert tree.disk.grub_cat(FILE) == tree.path(FILE).read_bytes()


@pytest.mark.parametrize(
    ("target", "starters"),
    [
        pytest.param("x86_64-xen", {"linux", "initrd", "multiboot", "module"}, id="pv"),
        pytest.param("i386-xen", {"linux", "initrd", "multiboot", "module"}, id="pv-32-bit"),
        pytest.param(
            "i386-xen_pvh",
            {"linux", "initrd", "multiboot", "module", "multiboot2", "module2"},
            id="pvh",
        ),
    ],
)
def test_what_starts_something_on_each_platform(target: str, starters: set[str]) -> None:
    """GRUB's own lists of 2.06, 2.12 and 2.14: whatever else a menu uses is not there."""
    libraries = ("/usr/lib/grub", *(grub_versions.of(suite).lib for suite in ("trixie", "sid")))
    for library in libraries:
        text = (Path(library) / target / "command.lst").read_text()
        assert command_list.parse(text) & LOADERS == starters, library
