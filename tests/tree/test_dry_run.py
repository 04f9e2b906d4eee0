# SPDX-License-Identifier: GPL-3.0-or-later
"""A dry run changes nothing, and tells before what a sync then does."""

import shutil
from pathlib import Path

import pytest

from guest_hooks.targets import TARGETS
from tests.support.debian_tree import Suite
from tests.support.outside_guest import FILES, OutsideGuest, outside_guest, snapshot

PV, PV32, PVH = TARGETS
PV_FILE = FILES[PV][0]
pytestmark = pytest.mark.usefixtures("as_it_should_be")


def test_a_dry_run_changes_nothing_and_tells_what_a_sync_then_does(tree: OutsideGuest) -> None:
    tree.boot_xen(PV_FILE).unlink()
    tree.boot_xen("pvhboot-x86_64.elf").unlink()
    tree.path("/boot/grub/i386-xen/normal.mod").unlink()
    before = snapshot(tree.top)
    told = tree.sync("--dry-run", code=3)
    assert snapshot(tree.top) == before
    done = tree.sync()
    assert told.json["changed"] == done.json["changed"]
    assert {change["path"]: change["why"] for change in done.json["changed"]} == {
        f"/boot/xen/{PV_FILE}": ["missing"],
        "/boot/xen/pvhboot-x86_64.elf": ["missing"],
        "/boot/grub/i386-xen/core.elf": ["module-dir-differs"],
    }
    assert tree.sync("--dry-run").json["changed"] == []


def test_a_dry_run_of_a_fresh_tree_makes_no_directory(tmp_path: Path) -> None:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM) as fresh:
        before = snapshot(fresh.top)
        told = fresh.run("sync", "--dry-run", f"--target={PV}", code=3)
        assert snapshot(fresh.top) == before
        assert f"Would make /boot/xen/{PV_FILE}: it is missing." in told.stdout


@pytest.mark.parametrize("beside", ["grubenv", "locale", "fonts"])
def test_a_dry_run_does_not_make_what_grub_install_would_make_beside(
    tree: OutsideGuest, beside: str
) -> None:
    there = tree.path(f"/boot/grub/{beside}")
    aside = there.rename(tree.path(f"/boot/{beside}"))
    before = snapshot(tree.top)
    try:
        told = tree.sync("--dry-run", "--force", f"--target={PV}", code=3)
        assert snapshot(tree.top) == before
        assert {change["path"] for change in told.json["changed"]} == {
            f"/boot/xen/{PV_FILE}",
            "/boot/grub/x86_64-xen/core.elf",
        }
    finally:
        shutil.rmtree(there) if there.is_dir() else there.unlink(missing_ok=True)
        aside.rename(there)


@pytest.mark.parametrize("name", ["old.mod", "old.lst", "old.img", "old.mo"])
def test_a_dry_run_does_not_remove_what_grub_install_would_remove_beside(
    tree: OutsideGuest, name: str
) -> None:
    old = tree.path(f"/boot/grub/{name}")
    old.touch()
    tree.sync("--dry-run", "--force", f"--target={PV}", code=3)
    assert old.exists()
    tree.sync("--force", f"--target={PV}")
    assert not old.exists(), "GRUB no longer does"


def test_a_dry_run_is_exact_beside_a_menu_of_grub_legacy(tree: OutsideGuest) -> None:
    menu = tree.path("/boot/grub/menu.lst")
    menu.touch()
    assert tree.sync("--dry-run", "--force", f"--target={PV}").json["changed"] == []
    menu.unlink()


def test_a_text_dry_run_names_files_and_reasons(tree: OutsideGuest) -> None:
    tree.boot_xen(PV_FILE).unlink()
    told = tree.run("sync", "--dry-run", "--no-update-grub", f"--target={PV}", code=3)
    assert told.stdout == f"Would make /boot/xen/{PV_FILE}: it is missing.\n"
