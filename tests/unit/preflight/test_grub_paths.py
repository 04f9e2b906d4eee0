# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB follows a link from the top of the file system that it lies on."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from guest_hooks.machine import mounts
from guest_hooks.machine.root import Root
from guest_hooks.preflight import grub_paths
from guest_hooks.preflight.grub_paths import AstrayError, GrubPaths
from tests.support.boot_damage import INITRD, KERNEL, a_link, both
from tests.support.boot_tree import NEWEST, BootTree

FOUND, ASTRAY = "", "follows it from the top of that file system"


@pytest.mark.parametrize(
    ("path", "target", "is_own", "why"),
    [
        pytest.param(KERNEL, "vmlinuz", False, FOUND, id="beside"),
        pytest.param(KERNEL, "/boot/vmlinuz", False, FOUND, id="absolute-on-the-root"),
        pytest.param(KERNEL, "vmlinuz", True, FOUND, id="beside-on-an-own-file-system"),
        pytest.param(KERNEL, "/boot/vmlinuz", True, ASTRAY, id="absolute-on-an-own-file-system"),
        pytest.param(KERNEL, "../boot/vmlinuz", True, ASTRAY, id="out-and-in-again"),
        pytest.param(INITRD, "/boot/initrd", True, ASTRAY, id="initrd"),
    ],
)
def test_links(tmp_path: Path, path: str, target: str, is_own: bool, why: str) -> None:
    tree = BootTree(tmp_path)
    a_link(path, target, own_boot=is_own)(tree)
    answer = tree.preflight()
    found = [each for each in answer.findings if each.thing == f"/{path}"]
    assert answer.will_boot is not bool(why)
    assert bool(found) is bool(why)
    for each in found:
        assert why in each.message
        assert each.console == f"error: file `/{path.removeprefix('boot/')}' not found."
        assert each.hint == (
            "put the file itself in its place: cp --remove-destination"
            f" {tmp_path}{target if target.startswith('/') else '/boot/' + Path(target).name}"
            f" {tmp_path}/{path}"
        )


def test_what_only_grub_finds_is_there(tmp_path: Path) -> None:
    """A link that leads nowhere in the guest."""
    tree = BootTree(tmp_path)
    a_link(KERNEL, "vmlinuz", own_boot=True)(tree)
    tree.remove(KERNEL)
    (tree.top / KERNEL).symlink_to("/vmlinuz")
    assert tree.preflight().findings == ()


def test_the_link_in_the_way_to_a_kernel(tmp_path: Path) -> None:
    """`/boot/boot -> .` and `-> /boot`, on a /boot that was once part of the root."""
    tree = BootTree(tmp_path)
    tree.own_boot()
    tree.edit_menu("\t/vmlinuz", "\t/boot/vmlinuz")
    link = tree.top / "boot/boot"
    link.symlink_to(".")
    assert tree.preflight().findings == ()
    link.unlink()
    link.symlink_to("/boot")
    assert not tree.preflight().will_boot


def test_the_menu_behind_a_link(tmp_path: Path) -> None:
    """grub.cfg kept below /etc: on the root GRUB finds it there, on an own /boot it does not."""
    tree = BootTree(tmp_path)
    a_link("boot/grub/grub.cfg", "/etc/grub.cfg")(tree)
    assert tree.preflight().findings == ()
    tree.boot = replace(tree.boot, mountpoint="/boot", grub_dir="/grub")
    answer = tree.preflight()
    assert [(each.code, each.console) for each in answer.findings] == [
        ("grub-cfg-missing", "grub>")
    ]
    assert "cp --remove-destination" in answer.findings[0].hint


def test_more_links_than_grub_follows(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    links = [f"v{number}" for number in range(grub_paths.MOST_LINKS + 1)]
    for link, target in pairwise(links):
        (tree.top / "boot" / link).symlink_to(target)
    (tree.top / "boot" / links[-1]).write_bytes(b"")
    paths = GrubPaths(root=Root(str(tree.top)), boot=tree.boot)
    assert paths.opened(f"/boot/{links[1]}") == f"/boot/{links[-1]}"
    (tree.top / "boot/first").symlink_to(links[0])
    with pytest.raises(AstrayError, match="to no end"):
        paths.opened("/boot/first")


def test_another_file_system_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel on the EFI partition, which the guest has mounted at /boot/efi."""
    tree = BootTree(tmp_path)
    both(lambda it: it.write("boot/efi/linux", it.read(KERNEL)), lambda it: it.remove(KERNEL))(tree)
    tree.edit_menu(f"/boot/vmlinuz-{NEWEST}", "/boot/efi/linux")
    assert tree.preflight().will_boot
    line = "{n} 1 {dev} / {at} rw - ext4 {source} rw\n"
    rows = (("1", "202:1", "", "/dev/xvda1"), ("2", "202:15", "/boot/efi", "/dev/xvda15"))
    table = "".join(
        line.format(n=n, dev=dev, at=f"{tmp_path}{at}", source=source)
        for n, dev, at, source in rows
    )
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse(table))
    answer = tree.preflight()
    assert not answer.will_boot
    assert {each.code for each in answer.findings} == {"kernel-missing"}
    assert "is on /dev/xvda15" in answer.findings[0].message
