# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree that is a directory of the machine that builds the image: GRUB would take that
machine's UUID and paths.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import images
from tests.support.checkout import CHECKOUT
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Kind, Suite, tarball, unpack
from tests.support.outside_guest import Outcome, OutsideGuest, outside_guest, snapshot

PV = "x86_64-xen"
IN_BUILD = {"GUEST_CHROOT": "1"}


@contextmanager
def bound(source: Path, top: Path) -> Iterator[Path]:
    top.mkdir(exist_ok=True)
    images.tool("mount", "--bind", str(source), str(top))
    try:
        yield top
    finally:
        images.tool("umount", "-R", str(top))


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Disk]:
    """The builder's disk, with a guest's tree in a directory of it."""
    with images.disk(tmp_path_factory.mktemp("builder"), "ext4", size=3 << 30) as disk:
        tree = disk.top / "build/tree"
        tree.mkdir(parents=True)
        unpack(tarball(Suite.BOOKWORM, Kind.FULL), tree)
        shutil.copytree(
            CHECKOUT / "guest_hooks", tree / "usr/lib/python3/dist-packages/guest_hooks"
        )
        yield disk


def test_a_bind_mount_is_refused_from_outside(builder: images.Disk, tmp_path: Path) -> None:
    with bound(builder.top / "build/tree", tmp_path / "tree") as top:
        tree = OutsideGuest(
            disk=images.Disk(top=top, root=builder.root, boot=builder.root, scratch=tmp_path),
            suite=Suite.BOOKWORM,
        )
        before = snapshot(top / "boot", top / "var/lib")
        for verb in ("sync", "status", "preflight"):
            said = tree.run(verb, f"--target={PV}", code=7).stderr
            assert (
                f"is /build/tree of the file system on {builder.root.device}, not the top of"
                " its own" in said
            )
            assert "first boot" in said
        assert snapshot(top / "boot", top / "var/lib") == before


def test_a_directory_with_a_boot_of_its_own_is_refused(builder: images.Disk) -> None:
    """The second stage would be right, and the menu would give Linux the builder's root."""
    top = builder.top / "build/tree"
    images.tool("mount", "-t", "tmpfs", "boot", str(top / "boot"))
    try:
        tree = OutsideGuest(
            disk=images.Disk(top=top, root=builder.root, boot=builder.root, scratch=top),
            suite=Suite.BOOKWORM,
        )
        assert (
            "is not the top of a mounted file system"
            in tree.run("sync", f"--target={PV}", code=7).stderr
        )
    finally:
        images.tool("umount", str(top / "boot"))


def test_a_bind_mount_is_refused_from_inside_the_chroot(
    builder: images.Disk, tmp_path: Path
) -> None:
    with bound(builder.top / "build/tree", tmp_path / "tree") as top:
        disk = images.Disk(top=top, root=builder.root, boot=builder.root, scratch=tmp_path)
        guest = ChrootGuest(
            disk=disk,
            work=tmp_path,
            suite=Suite.BOOKWORM,
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
        )
        before = snapshot(top / "boot", top / "var/lib")
        done = guest.run(
            "python3", "-m", "guest_hooks", "sync", f"--target={PV}", check=False, env=IN_BUILD
        )
        assert done.returncode == 7, done.stderr
        assert "/ is /build/tree of the file system on" in done.stderr
        assert snapshot(top / "boot", top / "var/lib") == before


def test_a_chroot_of_the_image_s_own_file_system_is_served(tmp_path: Path) -> None:
    with images.disk(tmp_path, "ext4", size=3 << 30) as disk:
        unpack(tarball(Suite.BOOKWORM, Kind.FULL), disk.top)
        shutil.copytree(
            CHECKOUT / "guest_hooks", disk.top / "usr/lib/python3/dist-packages/guest_hooks"
        )
        guest = ChrootGuest(
            disk=disk,
            work=tmp_path,
            suite=Suite.BOOKWORM,
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
        )
        guest.run("python3", "-m", "guest_hooks", "sync", f"--target={PV}", env=IN_BUILD)
        config = guest.path(f"/boot/grub/{PV}/load.cfg").read_text()
        assert disk.root.uuid in config


@pytest.mark.parametrize(
    ("subvolume", "fstab", "code"),
    [
        pytest.param("@rootfs", "subvol=@rootfs", 0, id="as-fstab-says"),
        pytest.param("@rootfs", "defaults", 0, id="fstab-names-none"),
        pytest.param("@rootfs", "subvol=@other", 7, id="fstab-names-another"),
        pytest.param("", "defaults", 0, id="top-level"),
        pytest.param("@rootfs/tree", "subvol=@rootfs", 7, id="directory-of-a-subvolume"),
    ],
)
def test_a_subvolume(tmp_path: Path, subvolume: str, fstab: str, code: int) -> None:
    with outside_guest(tmp_path, Suite.BOOKWORM, "btrfs") as tree:
        if not subvolume:
            tree.run("sync", "--no-update-grub", f"--target={PV}", code=code)
            return
        images.tool("btrfs", "subvolume", "snapshot", str(tree.top), str(tree.top / "@rootfs"))
        (tree.top / "@rootfs/etc/fstab").write_text(
            f"UUID={tree.disk.root.uuid} / btrfs {fstab} 0 0\n"
        )
        source = tree.top / "@rootfs"
        if subvolume != "@rootfs":
            source = tree.top / subvolume
            source.mkdir()
            for name in ("boot", "dev", "proc", "sys", "etc", "var", "usr"):
                (tree.top / "@rootfs" / name).rename(source / name)
        with bound(source, tmp_path / "bound") as top:
            other = OutsideGuest(
                disk=images.Disk(
                    top=top, root=tree.disk.root, boot=tree.disk.boot, scratch=tmp_path
                ),
                suite=tree.suite,
            )
            said = other.run("sync", "--no-update-grub", f"--target={PV}", code=code).stderr
            assert ("not the top of its own" in said) == (code == 7)
            if code == 0:  # GRUB starts at the top level, whatever the guest's / is
                words = ["preflight", "--json", f"--target={PV}"]
                (found,) = stage1_findings(other.run(*words, code=3))
                assert found["code"] == "stage1-finds-nothing"
                images.tool(
                    "unshare", "--mount", "--propagation", "private", "sh", "-ec", found["hint"]
                )
                assert stage1_findings(other.run(*words, code=None)) == []


def test_a_snapshot_in_the_place_of_the_root(tmp_path: Path) -> None:
    """GRUB still comes, by a link at the top, to the files of the root before it."""
    words = ["preflight", "--json", f"--target={PV}"]
    with outside_guest(tmp_path, Suite.BOOKWORM, "btrfs") as tree:
        for name in ("@rootfs", "@next"):
            images.tool("btrfs", "subvolume", "snapshot", str(tree.top), str(tree.top / name))
        for name in ("boot", "boot/grub", "boot/xen"):
            shutil.rmtree(tree.top / name, ignore_errors=True)
        (tree.top / "boot").symlink_to("@rootfs/boot")
        for name in ("@rootfs", "@next"):
            (tree.top / name / "etc/fstab").write_text(
                f"UUID={tree.disk.root.uuid} / btrfs subvol={name} 0 0\n"
            )
            with bound(tree.top / name, tmp_path / name) as top:
                disk = images.Disk(
                    top=top, root=tree.disk.root, boot=tree.disk.boot, scratch=tmp_path
                )
                guest = OutsideGuest(disk=disk, suite=tree.suite)
                guest.run("sync", f"--target={PV}")
                found = stage1_findings(guest.run(*words, code=None))
                if name == "@rootfs":
                    assert found == []
                    continue
                assert {row["code"] for row in found} == {"other-bytes"}
                images.tool(
                    "unshare", "--mount", "--propagation", "private", "sh", "-ec", found[0]["hint"]
                )
                assert stage1_findings(guest.run(*words, code=None)) == []


def stage1_findings(outcome: Outcome) -> list[dict[str, str]]:
    return [
        row
        for row in outcome.json["findings"]
        if row["link"] == "stage-1" and row["severity"] == "error"
    ]
