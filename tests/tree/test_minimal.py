# SPDX-License-Identifier: GPL-3.0-or-later
"""`modules = "minimal"`, and what receipts may hold."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS
from tests.support.changed_tree import configure, install_grub
from tests.support.debian_tree import Suite
from tests.support.outside_guest import (
    CORE_FILES,
    OutsideGuest,
    command,
    environment,
    outside_guest,
)

PV, PV32, PVH = TARGETS
PV_FILE = CORE_FILES[PV]
STATE = "/var/lib/xen-guest-bootloader"
ONE = f"--target={PV}"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM) as tree:
        yield tree


def modules(image: bytes) -> set[str]:
    core = second_stage.read(image).core
    assert core is not None
    return {module.name for module in core.modules}


def test_minimal_is_grub_install_s_own_choice(tree: OutsideGuest) -> None:
    configure(tree, 'modules = "minimal"\n')
    assert set(tree.sync().states().values()) == {"current"}
    for name, file in CORE_FILES.items():
        assert len(modules(tree.boot_xen(file).read_bytes())) < 30, name
    assert tree.sync().json["changed"] == []


def test_a_change_of_the_choice_makes_all_stale(tree: OutsideGuest) -> None:
    tree.sync()
    embedded = tree.boot_xen(PV_FILE).read_bytes()
    configure(tree, 'modules = "minimal"\n')
    assert tree.status(code=3).codes()[PV] == ["configuration-changed"]
    assert tree.sync(ONE).states()[PV] == "current"
    assert len(modules(tree.boot_xen(PV_FILE).read_bytes())) < len(modules(embedded))
    configure(tree, "")
    assert "modules-missing" in tree.status(PV, code=3).codes()[PV]
    tree.sync(ONE)
    assert tree.boot_xen(PV_FILE).read_bytes() == embedded


def test_a_minimal_upgrade_goes_by_a_stand_in(tree: OutsideGuest, tmp_path: Path) -> None:
    """At no moment does a minimal second stage stand beside the other GRUB's modules: a
    self-contained one does.
    """
    configure(tree, 'modules = "minimal"\n')
    tree.sync(ONE)
    old = tree.boot_xen(PV_FILE).read_bytes()
    install_grub(tree)
    log = tmp_path / "renames"
    done = tree.run(
        *("sync", "--no-update-grub", "--json", ONE),
        prefix=["strace", "-f", "-qq", "-y", "-o", str(log), "--trace=rename,renameat,renameat2"],
    )
    assert done.states()[PV] == "current"
    assert done.json["targets"][0]["grub_version"].startswith("2.12")
    steps = []
    for line in log.read_text().splitlines():
        if PV_FILE in line and "/boot/xen>" in line:
            steps.append("second stage")
        elif "RENAME_EXCHANGE" in line and "x86_64-xen" in line:
            steps.append("modules")
    assert steps == ["second stage", "modules", "second stage"]
    new = tree.boot_xen(PV_FILE).read_bytes()
    assert modules(new) < modules(old) | {"all"} or len(modules(new)) < 30
    assert (
        tree.path(f"/boot/grub/{PV}/normal.mod").read_bytes()
        == tree.path(f"/usr/lib/grub/{PV}/normal.mod").read_bytes()
    )
    assert tree.disk.grub_cat(f"/boot/xen/{PV_FILE}") == new
    assert (
        tree.disk.grub_cat(f"/boot/grub/{PV}/normal.mod")
        == tree.path(f"/boot/grub/{PV}/normal.mod").read_bytes()
    )


def test_an_embedded_upgrade_needs_no_stand_in(tree: OutsideGuest, tmp_path: Path) -> None:
    tree.sync(ONE)
    install_grub(tree)
    log = tmp_path / "renames"
    tree.run(
        *("sync", "--no-update-grub", ONE),
        prefix=["strace", "-f", "-qq", "-y", "-o", str(log), "--trace=rename,renameat,renameat2"],
    )
    assert (
        sum(PV_FILE in line and "/boot/xen>" in line for line in log.read_text().splitlines()) == 1
    )


@pytest.mark.parametrize(
    "receipt",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut-off"),
        pytest.param("[" * 100_000, id="deeply-nested"),
        pytest.param('{"schema": 99, "targets": {}, "more": 1}', id="newer"),
        pytest.param(
            '{"schema": 1, "targets": {"x86_64-xen": {"core_sha256": 5}}}', id="wrong-types"
        ),
        pytest.param(
            '{"schema": 1, "targets": {"z80-xen": {"core_sha256": "", "request": [], "held_sha256":'
            ' ""}}}',
            id="foreign-target",
        ),
    ],
)
def test_any_receipt_is_borne_and_the_next_is_whole(tree: OutsideGuest, receipt: str) -> None:
    tree.sync(ONE)
    path = tree.path(f"{STATE}/receipt.json")
    path.write_text(receipt)
    assert tree.status(PV).states()[PV] == "current"
    tree.boot_xen(PV_FILE).unlink()
    assert tree.sync(ONE).states()[PV] == "current"
    assert (
        json.loads(path.read_text())["targets"][PV]["core_sha256"]
        == tree.status(PV).json["targets"][0]["sha256"]
    )


def test_a_receipt_that_is_a_directory_does_not_spoil_the_second_stage(tree: OutsideGuest) -> None:
    path = tree.path(f"{STATE}/receipt.json")
    (path / "somebody's").mkdir(parents=True)
    done = tree.run("sync", "--no-update-grub", ONE, code=None)
    assert done.code in (0, 4)
    assert tree.status(PV).states()[PV] == "current"


def test_two_syncs_at_once_make_one(tree: OutsideGuest) -> None:
    runs = [
        subprocess.Popen(command(tree.top, "sync", "--no-update-grub", ONE), env=environment())
        for _ in range(3)
    ]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert tree.status(PV).states()[PV] == "current"
    assert [path.name for path in tree.path("/boot/xen").iterdir()] == [PV_FILE]
