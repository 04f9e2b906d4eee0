# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a second stage, and `rollback`, which puts it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats.digests import sha256
from guest_hooks.targets import TARGETS
from tests.support import images, report_schema
from tests.support.changed_tree import configure, install_grub
from tests.support.debian_tree import Suite
from tests.support.outside_guest import (
    CORE_FILES,
    OutsideGuest,
    outside_guest,
)

PV, _, PVH = TARGETS
PV_FILE = CORE_FILES[PV]
STATE = "/var/lib/xen-guest-bootloader"
ONE = f"--target={PV}"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM) as tree:
        yield tree


def first_line(tree: OutsideGuest, *words: str, code: int) -> str:
    return tree.run(*words, code=code).stderr.splitlines()[0]


def test_rollback_exchanges_and_automatic_runs_leave_it(tree: OutsideGuest) -> None:
    tree.sync()
    old = {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()}
    install_grub(tree)
    tree.sync()
    new = {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()}

    back = tree.run("rollback", "--json", *(f"--target={name}" for name in TARGETS))
    assert {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()} == old
    assert tree.boot_xen("pvhboot-x86_64.elf").read_bytes() == old[PVH]
    assert all(change["why"] == ["rollback"] for change in back.json["changed"])
    assert all("held-by-rollback" in codes for codes in tree.status().codes().values())
    assert tree.disk.grub_cat(f"/boot/xen/{PV_FILE}") == old[PV]

    automatic = tree.sync("--automatic")
    assert automatic.json["changed"] == []
    assert tree.boot_xen(PV_FILE).read_bytes() == old[PV]

    tree.run("rollback", *(f"--target={name}" for name in TARGETS))
    assert {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()} == new
    # The newest is back: nothing is held any more.
    assert {code for codes in tree.status().codes().values() for code in codes} == set()
    kept = tree.run("rollback", "--list", "--json", ONE).json
    assert report_schema.complaints(kept, "previous") == []
    assert [row["sha256"] for row in kept["previous"]] == [sha256(old[PV])]
    assert f"/boot/xen/{PV_FILE}: GRUB 2." in tree.run("rollback", "--list").stdout
    tree.run("rollback", ONE)
    assert tree.boot_xen(PV_FILE).read_bytes() == old[PV]
    assert tree.sync().states()[PV] == "current"
    assert tree.boot_xen(PV_FILE).read_bytes() == new[PV]
    assert tree.sync("--automatic").json["changed"] == []


def test_a_held_second_stage_that_is_damaged_is_mended_by_automatic_runs(
    tree: OutsideGuest,
) -> None:
    tree.sync(ONE)
    install_grub(tree)
    tree.sync(ONE)
    tree.run("rollback", ONE)
    tree.boot_xen(PV_FILE).unlink()
    assert tree.sync("--automatic", ONE).states()[PV] == "current"


def test_a_clone_of_a_guest_after_rollback_boots_from_its_own_disk(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    configure(tree, 'extra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    tree.run("rollback", ONE)
    assert tree.sync("--automatic", ONE).json["changed"] == []
    uuid = tree.renew_uuid()
    assert tree.status(PV, code=3).codes()[PV][0] == "uuid-mismatch"
    done = tree.sync("--automatic", ONE)
    assert done.states()[PV] == "current"
    assert "uuid-mismatch" in done.json["changed"][0]["why"]
    assert uuid.encode() in tree.boot_xen(PV_FILE).read_bytes()
    assert tree.sync("--automatic", ONE).json["changed"] == []


def test_a_refused_sync_leaves_what_rollback_puts_back(tmp_path: Path) -> None:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM, boot="ext4") as tree:
        tree.sync(ONE)
        first = tree.boot_xen(PV_FILE).read_bytes()
        configure(tree, 'extra_modules = ["hexdump"]\n')
        tree.sync(ONE)
        configure(tree, 'extra_modules = ["hexdump", "hello"]\n')
        with images.filled(tree.path("/boot")):
            tree.sync(ONE, code=7)
        assert tree.run("rollback", ONE).stdout.startswith(f"Put back /boot/xen/{PV_FILE}: ")
        assert tree.boot_xen(PV_FILE).read_bytes() == first


def test_a_rollback_that_changes_nothing_holds_nothing(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    configure(tree, 'extra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    tree.path(f"{STATE}/previous/{PV}.elf").write_bytes(tree.boot_xen(PV_FILE).read_bytes())
    assert tree.run("rollback", ONE).stdout == "Nothing to do: the two are the same.\n"
    assert tree.status(PV, code=3).codes() == {PV: []}
    configure(tree, "")
    assert tree.sync("--automatic", ONE).json["changed"] != []


def test_rollback_without_one_before(tree: OutsideGuest) -> None:
    assert "no second stage" in first_line(tree, "rollback", ONE, code=4)
    tree.sync(ONE)
    before = tree.boot_xen(PV_FILE).read_bytes()
    assert "no second stage" in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x7fELF" + bytes(5000), id="damaged"),
    ],
)
def test_rollback_to_what_could_not_boot_is_refused(tree: OutsideGuest, kept: bytes) -> None:
    tree.sync(ONE)
    before = tree.boot_xen(PV_FILE).read_bytes()
    directory = tree.path(f"{STATE}/previous")
    directory.mkdir(exist_ok=True)
    (directory / f"{PV}.elf").write_bytes(kept)
    assert "could not boot" in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == before


def test_rollback_to_another_uuid_is_refused(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    image = tree.boot_xen(PV_FILE).read_bytes()
    uuid = tree.disk.root.uuid.encode()
    directory = tree.path(f"{STATE}/previous")
    directory.mkdir(exist_ok=True)
    (directory / f"{PV}.elf").write_bytes(image.replace(uuid, uuid[::-1]))
    assert uuid[::-1].decode() in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == image


@pytest.mark.parametrize(("setting", "is_kept"), [("true", True), ("false", False)])
def test_keep_previous(tree: OutsideGuest, setting: str, is_kept: bool) -> None:
    configure(tree, f"keep_previous = {setting}\n")
    tree.sync(ONE)
    old = tree.boot_xen(PV_FILE).read_bytes()
    configure(tree, f'keep_previous = {setting}\nextra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    kept = tree.path(f"{STATE}/previous/{PV}.elf")
    assert kept.exists() is is_kept
    if is_kept:
        assert kept.read_bytes() == old


def test_what_could_not_boot_is_not_kept(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    tree.boot_xen(PV_FILE).write_bytes(b"damaged")
    tree.sync(ONE)
    assert not tree.path(f"{STATE}/previous/{PV}.elf").exists()
