# SPDX-License-Identifier: GPL-3.0-or-later
"""/boot/grub and /boot/xen behind a link, a bind mount, a subvolume or on a disk of their own:
GRUB is asked where each is.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.support import images, loops
from tests.support.debian_tree import Suite
from tests.support.outside_guest import Outcome, OutsideGuest, outside_guest

PV = "x86_64-xen"
FILE = "pvboot-x86_64.elf"
Layout = Callable[[OutsideGuest], AbstractContextManager[object]]


def plain(tree: OutsideGuest) -> AbstractContextManager[object]:
    tree.path("/boot/grub").mkdir()
    return nullcontext()


def linked_beside(tree: OutsideGuest) -> AbstractContextManager[object]:
    tree.path("/boot/grub2").mkdir()
    tree.path("/boot/grub").symlink_to("grub2")
    return nullcontext()


def linked_elsewhere(tree: OutsideGuest) -> AbstractContextManager[object]:
    tree.path("/srv/grub").mkdir()
    tree.path("/boot/grub").symlink_to("/srv/grub")
    return nullcontext()


@contextmanager
def bound(tree: OutsideGuest) -> Iterator[None]:
    tree.path("/srv/grub").mkdir()
    tree.path("/boot/grub").mkdir()
    with (
        in_fstab(tree, "/srv/grub /boot/grub none bind 0 0"),
        mounted("--bind", tree.path("/srv/grub"), tree.path("/boot/grub")),
    ):
        yield


@contextmanager
def xen_bound(tree: OutsideGuest) -> Iterator[None]:
    """Only /boot/xen: the second stage's own place is as always."""
    tree.path("/srv/xen").mkdir()
    tree.path("/boot/xen").mkdir()
    tree.path("/boot/grub").mkdir()
    with (
        in_fstab(tree, "/srv/xen /boot/xen none bind 0 0"),
        mounted("--bind", tree.path("/srv/xen"), tree.path("/boot/xen")),
    ):
        yield


def nested(tree: OutsideGuest) -> AbstractContextManager[object]:
    images.tool("btrfs", "subvolume", "create", str(tree.path("/boot/grub")))
    return nullcontext()


@contextmanager
def mounted(*words: object) -> Iterator[None]:
    images.tool("mount", *map(str, words))
    try:
        yield
    finally:
        images.tool("umount", str(words[-1]))


@contextmanager
def in_fstab(tree: OutsideGuest, line: str) -> Iterator[None]:
    fstab = tree.path("/etc/fstab")
    before = fstab.read_text()
    fstab.write_text(f"{before}{line}\n")
    try:
        yield
    finally:
        fstab.write_text(before)


@pytest.fixture(scope="module", params=["ext4", "xfs", "btrfs"])
def tree(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("places"), Suite.BOOKWORM, request.param) as tree:
        yield tree


@pytest.fixture
def empty(tree: OutsideGuest) -> Iterator[OutsideGuest]:
    """A tree without boot files, before and after."""
    clear(tree)
    yield tree
    clear(tree)


def clear(tree: OutsideGuest) -> None:
    for name in ("/boot/grub", "/boot/grub2", "/boot/xen", "/srv/grub", "/srv/xen"):
        path = tree.path(name)
        if path.is_symlink():
            path.unlink()
        elif (
            path.is_dir() and path.stat().st_ino == 256
        ):  # a subvolume's top: linux/btrfs_tree.h, BTRFS_FIRST_FREE_OBJECTID
            images.tool("btrfs", "subvolume", "delete", str(path))
        elif path.is_dir():
            shutil.rmtree(path)


EVERYWHERE = {
    "plain": (plain, "/boot/grub"),
    "link-beside": (linked_beside, "/boot/grub2"),
    "link-elsewhere": (linked_elsewhere, "/srv/grub"),
}
# XFS of which a part is mounted is waited for, not frozen, which takes minutes; how it is waited
# for is a test of test_durable.
NOT_ON_XFS = {"bind-mount": (bound, "/srv/grub"), "xen-bind-mount": (xen_bound, "/boot/grub")}
LAYOUTS = {
    "ext4": EVERYWHERE | NOT_ON_XFS,
    "xfs": EVERYWHERE,
    "btrfs": EVERYWHERE | NOT_ON_XFS | {"subvolume": (nested, "/boot/grub")},
}


@pytest.mark.parametrize(
    ("tree", "layout", "prefix"),
    [
        pytest.param(fs_type, layout, prefix, id=f"{fs_type}-{name}")
        for fs_type, rows in LAYOUTS.items()
        for name, (layout, prefix) in rows.items()
    ],
    indirect=["tree"],
)
def test_what_grub_reads_at_the_prefix_is_what_was_written(
    empty: OutsideGuest, layout: Layout, prefix: str
) -> None:
    with ExitStack() as stack:
        stack.enter_context(layout(empty))
        synced = empty.run("sync", "--json", f"--target={PV}").json
        (target,) = synced["targets"]
        assert (target["state"], target["prefix"]) == ("current", f"($root){prefix}")
        assert target["fs_uuid"] == empty.disk.root.uuid
        assert synced["boot"]["grub_dir"] == synced["boot"]["grub"]["path"] == prefix
        for name in ("grub.cfg", f"{PV}/core.elf"):
            assert (
                empty.disk.grub_cat(f"{prefix}/{name}")
                == empty.path(f"{prefix}/{name}").read_bytes()
            ), name
        again = empty.run("sync", "--json", f"--target={PV}").json
        assert (again["changed"], again["ok"]) == ([], True)


@pytest.mark.parametrize("tree", ["ext4", "btrfs"], indirect=True)
def test_a_boot_that_stage_1_does_not_come_to_is_found_and_linked_by_what_is_said(
    empty: OutsideGuest,
) -> None:
    """A bind mount: for stage 1, /boot on that file system is the empty directory beneath."""
    source = empty.path("/srv/boot")
    source.mkdir()
    words = ["preflight", "--json", f"--target={PV}"]
    with (
        in_fstab(empty, "/srv/boot /boot none bind 0 0"),
        mounted("--bind", source, empty.path("/boot")),
    ):
        synced = empty.run("sync", "--json", f"--target={PV}").json
        assert (synced["targets"][0]["prefix"], synced["boot"]["xen"]["path"]) == (
            "($root)/srv/boot/grub",
            "/srv/boot/xen",
        )
        (found,) = stage1_findings(empty.run(*words, code=3))
        assert found["code"] == "stage1-finds-nothing"
        images.tool("unshare", "--mount", "--propagation", "private", "sh", "-ec", found["hint"])
        assert empty.disk.grub_cat(f"/xen/{FILE}") == empty.boot_xen(FILE).read_bytes()
        assert stage1_findings(empty.run(*words, code=None)) == []
        with beneath(empty) as top:
            (top / "boot/xen").mkdir()
            (top / f"boot/xen/{FILE}").write_bytes(b"old")
            (shadow,) = stage1_findings(empty.run(*words, code=3))
            assert (shadow["code"], "detach" in shadow["hint"]) == ("other-disk-first", False)
            images.tool(
                "unshare", "--mount", "--propagation", "private", "sh", "-ec", shadow["hint"]
            )
            (top / "boot/xen").rmdir()
        assert stage1_findings(empty.run(*words, code=None)) == []
    for name in ("xen", "grub"):
        empty.path(f"/{name}").unlink()
    shutil.rmtree(source)


@pytest.mark.parametrize("tree", ["ext4", "xfs", "btrfs"], indirect=True)
def test_a_file_that_is_mounted_over_the_guest_s_own(empty: OutsideGuest) -> None:
    """In the usual layout, too, GRUB's bytes are compared; what was just written is no fault."""
    empty.path("/boot/grub").mkdir()
    empty.run("sync", f"--target={PV}")
    assert other_bytes(empty) == []
    for name in (f"xen/{FILE}", "grub/grub.cfg"):
        own, other = empty.path(f"/boot/{name}"), empty.path("/srv/other")
        other.write_bytes(own.read_bytes() + b"# another\n")
        images.tool("mount", "--bind", str(other), str(own))
        (found,) = other_bytes(empty)
        assert found["thing"] == f"/boot/{name}"
        images.tool("sh", "-ec", found["hint"])
        assert other_bytes(empty) == []
        other.rename(own)  # with nothing that brings it to the disk
        assert other_bytes(empty) == []
        with own.open("ab") as file:
            file.write(b"# more\n")
        assert other_bytes(empty) == []


def test_a_link_that_grub_follows_from_the_top_of_another_file_system(tmp_path: Path) -> None:
    with outside_guest(tmp_path, Suite.BOOKWORM, boot="ext4") as tree:
        tree.path("/boot/grub").mkdir()
        tree.run("sync", f"--target={PV}")
        menu, kept = tree.path("/boot/grub/grub.cfg"), tree.path("/boot/grub/kept.cfg")
        menu.rename(kept)
        menu.symlink_to("kept.cfg")
        assert other_bytes(tree) == []
        menu.unlink()
        menu.symlink_to("/boot/grub/kept.cfg")
        (found,) = other_bytes(tree)
        assert (found["thing"], tree.disk.grub_cat("/boot/grub/grub.cfg")) == (
            "/grub/grub.cfg",
            None,
        )
        images.tool("sh", "-ec", found["hint"])
        assert other_bytes(tree) == []


def other_bytes(tree: OutsideGuest) -> list[dict[str, str]]:
    found = tree.run("preflight", "--json", f"--target={PV}", code=None).json["findings"]
    return [row for row in found if row["code"] == "other-bytes"]


@contextmanager
def beneath(tree: OutsideGuest) -> Iterator[Path]:
    """The file system of `/` without what is mounted on it."""
    top = tree.disk.scratch / "beneath"
    top.mkdir(exist_ok=True)
    with mounted("--bind", tree.top, top):
        yield top


def stage1_findings(outcome: Outcome) -> list[dict[str, str]]:
    return [
        row
        for row in outcome.json["findings"]
        if row["link"] == "stage-1" and row["severity"] == "error"
    ]


def test_grub_on_a_disk_of_its_own(empty: OutsideGuest, tmp_path: Path) -> None:
    """The second stage looks for that disk, and the menu for the one where the kernels are."""
    empty.path("/boot/grub").mkdir()
    image = tmp_path / "grub.img"
    with image.open("wb") as file:
        file.truncate(64 * images.MIB)
    with loops.attached(image) as device:
        images.tool(*images.MKFS["ext4"], device)
        uuid = images.tool("blkid", "-p", "-s", "UUID", "-o", "value", device)
        with in_fstab(empty, f"UUID={uuid} /boot/grub ext4 defaults 0 2"):
            refused = empty.run("sync", f"--target={PV}", code=7)
            assert "/boot/grub is in /etc/fstab and is not mounted" in refused.stderr
            with mounted(device, empty.path("/boot/grub")):
                synced = empty.run("sync", "--json", f"--target={PV}").json
                (target,) = synced["targets"]
                assert (target["state"], target["prefix"], target["fs_uuid"]) == (
                    "current",
                    "($root)/",
                    uuid,
                )
                boot = synced["boot"]
                assert (boot["fs_uuid"], boot["grub"]["fs_uuid"], boot["xen"]["path"]) == (
                    empty.disk.root.uuid,
                    uuid,
                    "/boot/xen",
                )
                assert empty.run("sync", "--json", f"--target={PV}").json["changed"] == []
