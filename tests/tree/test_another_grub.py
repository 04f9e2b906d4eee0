# SPDX-License-Identifier: GPL-3.0-or-later
"""Another GRUB in /usr/lib/grub, and one that fails: what is stale, and how it is named."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.machine.receipts import previous_path
from guest_hooks.targets import TARGETS
from tests.support.changed_tree import install_grub
from tests.support.debian_tree import Suite
from tests.support.outside_guest import CORE_FILES, OutsideGuest
from tests.support.second_stages import core_image

PV, *_ = TARGETS

pytestmark = pytest.mark.usefixtures("as_it_should_be")


@pytest.fixture
def other_modules(tree: OutsideGuest) -> Iterator[None]:
    install_grub(tree, Suite.TRIXIE)
    yield
    install_grub(tree, Suite.BOOKWORM)


@pytest.mark.usefixtures("other_modules")
def test_another_grub(tree: OutsideGuest) -> None:
    found = tree.status(code=3)
    assert set(found.states().values()) == {"stale"}
    assert all(
        {"grub-differs", "module-dir-differs"} <= set(codes) for codes in found.codes().values()
    )
    mended = tree.sync()
    assert all(row["grub_version"].startswith("2.12") for row in mended.json["targets"])
    assert set(mended.states().values()) == {"current"}


def test_a_module_that_grub_has_not_is_named_with_the_tool_that_misses_it(
    tree: OutsideGuest,
) -> None:
    config = tree.path("/etc/xen-guest-bootloader/config.toml")
    config.parent.mkdir()
    config.write_text('extra_modules = ["nosuch"]\n')
    try:
        done = tree.sync("--force", f"--target={PV}", code=4)
    finally:
        shutil.rmtree(config.parent)
    said, hint = done.stderr.splitlines()
    assert "grub-install --target=x86_64-xen failed with exit code 1: " in said
    assert "nosuch.mod" in said
    assert "unshare" not in said
    assert "correct extra_modules" in hint


def test_a_grub_install_that_fails_is_named_with_a_next_step(tree: OutsideGuest) -> None:
    tool = tree.path("/usr/sbin/grub-install")
    aside = tool.rename(f"{tool}.aside")
    tool.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    tool.chmod(0o755)
    try:
        done = tree.sync("--force", f"--target={PV}", code=4)
    finally:
        aside.rename(tool)
    said, hint = done.stderr.splitlines()
    assert said.endswith(": grub-install --target=x86_64-xen failed with exit code 3: no luck")
    assert hint.endswith("grub-install --target=x86_64-xen --verbose")


@pytest.fixture
def damaged_module(tree: OutsideGuest, as_it_should_be: None) -> Iterator[Path]:  # noqa: ARG001 - ends after it
    """The driver of ext4 has lost a part of its code on the disk; nothing else tells."""
    module = tree.path(f"/usr/lib/grub/{PV}/ext2.mod")
    whole = module.read_bytes()
    middle = len(whole) // 2
    module.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    assert module.read_bytes() != whole
    yield module
    module.write_bytes(whole)


@pytest.mark.usefixtures("damaged_module")
def test_a_damaged_module_replaces_nothing_that_boots(tree: OutsideGuest) -> None:
    stands = tree.boot_xen(CORE_FILES[PV])
    before = stands.read_bytes()
    for _ in range(2):
        kept = tree.sync(f"--target={PV}", code=4)
        assert stands.read_bytes() == before
        said, hint = kept.stderr.splitlines()
        assert "/boot/xen/pvboot-x86_64.elf was kept" in said
        assert "ext2.mod are not as grub-xen-bin has them" in said
        assert "apt install --reinstall grub-xen-bin" in hint
        assert "--force" in hint
    found = tree.status(PV, code=3)
    assert "second-stage-kept" in found.codes()[PV]
    taken = tree.sync("--force", f"--target={PV}")
    assert taken.states() == {PV: "current"}
    assert stands.read_bytes() != before
    assert "second-stage-kept" not in tree.status(PV).codes()[PV]


@pytest.mark.usefixtures("damaged_module")
def test_where_neither_boots_the_damaged_module_is_taken(tree: OutsideGuest) -> None:
    tree.renew_uuid()
    assert "uuid-mismatch" in tree.status(PV).codes()[PV]
    assert tree.sync(f"--target={PV}").states() == {PV: "current"}


def previous_of(tree: OutsideGuest, *modules: str) -> bytes:
    """A second stage of this guest's with these modules alone."""
    uuid = tree.status(PV).json["boot"]["fs_uuid"]
    config = f"search.fs_uuid {uuid} root \nset prefix=($root)'/boot/grub'\n"
    lib = str(tree.path("/usr/lib/grub"))
    return core_image(PV, config=config, modules=modules, lib=lib)


def test_a_second_stage_before_it_that_would_not_boot_is_not_put_back(tree: OutsideGuest) -> None:
    """What is kept for rollback lacks the driver of /boot's file system, which no menu can load."""
    core = tree.boot_xen(CORE_FILES[PV]).read_bytes()
    previous = tree.path(previous_path(PV))
    previous.parent.mkdir(exist_ok=True)
    previous.write_bytes(previous_of(tree, "normal", "linux", "search_fs_uuid"))
    done = tree.run("rollback", f"--target={PV}", code=4)
    said, hint = done.stderr.splitlines()
    assert "that was kept could not boot this guest: " in said
    assert "ext2" in said
    assert "make a new one with: xen-guest-bootloader sync" in hint
    assert hint.endswith("--force")
    assert tree.boot_xen(CORE_FILES[PV]).read_bytes() == core
    assert tree.status(PV).states() == {PV: "current"}


@pytest.mark.usefixtures("damaged_module")
def test_rollback_puts_back_what_a_forced_sync_has_replaced(
    tree: OutsideGuest,
) -> None:
    good = tree.boot_xen(CORE_FILES[PV]).read_bytes()
    tree.sync(f"--target={PV}", code=4)
    tree.sync("--force", f"--target={PV}")
    assert tree.boot_xen(CORE_FILES[PV]).read_bytes() != good
    back = tree.run("rollback", f"--target={PV}")
    assert back.stdout.startswith(f"Put back /boot/xen/{CORE_FILES[PV]}: GRUB 2.")
    assert tree.boot_xen(CORE_FILES[PV]).read_bytes() == good
    codes = tree.status(PV, code=3).codes()[PV]
    assert "held-by-rollback" in codes
    tree.sync("--automatic", f"--target={PV}")
    assert tree.boot_xen(CORE_FILES[PV]).read_bytes() == good, "an automatic run leaves it alone"
    kept = tree.sync(f"--target={PV}", code=4)
    assert "was kept" in kept.stderr, "by hand it is kept again, and that is said"
    assert tree.boot_xen(CORE_FILES[PV]).read_bytes() == good
