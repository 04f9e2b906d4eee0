# SPDX-License-Identifier: GPL-3.0-or-later
"""Which menu is read, and by whom: whether stage 1 comes to the second stage."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.model import State
from tests.support import boot_tree
from tests.support.boot_damage import (
    PVH,
    Damage,
    saved,
    stage1,
)
from tests.support.boot_tree import NEWEST, RELEASES, BootTree

BRIDGE = "boot/xen/pvhboot-i386.linux"


def test_stage_1_that_reads_the_menu_itself_knows_no_saved_entry(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    saved("1>4")(tree)
    assert f"/boot/vmlinuz-{RELEASES[2]}, packed with xz" in [
        step.text for step in tree.preflight().chain
    ]
    tree.second_stage(State.MISSING, "missing")
    assert f"/boot/vmlinuz-{NEWEST}, packed with xz" in [
        step.text for step in tree.preflight().chain
    ]


def without_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    tree.target = replace(tree.target, files=tree.target.files[:1])
    tree.remove(BRIDGE)


def with_damaged_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    first, bridge = tree.target.files
    tree.second_stage(State.STALE, "bridge-damaged")
    tree.target = replace(tree.target, files=(first, replace(bridge, state=State.INVALID)))


def with_old_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    first, bridge = tree.target.files
    tree.target = replace(tree.target, files=(first, replace(bridge, state=State.STALE)))


def without_handover(tree: BootTree) -> None:
    tree.edit_menu(boot_tree.handover().decode(), "")


@pytest.mark.parametrize(
    ("damage", "is_reached", "found"),
    [
        pytest.param(lambda _: None, True, [], id="all-there"),
        pytest.param(with_old_bridge, True, [], id="old-bridge"),
        pytest.param(without_bridge, False, [], id="no-bridge"),
        pytest.param(
            with_damaged_bridge, False, [("second-stage-bridge-damaged", True)], id="damaged-bridge"
        ),
        pytest.param(
            without_handover, False, [("second-stage-not-reached", False)], id="no-handover"
        ),
        pytest.param(
            stage1(Stage1.OWN, without_handover), True, [], id="own-stage-1-needs-no-handover"
        ),
        pytest.param(
            stage1(Stage1.OWN, without_bridge), False, [], id="own-stage-1-without-bridge"
        ),
    ],
)
def test_a_pvh_second_stage_counts_where_stage_1_reaches_it(
    damage: Damage, is_reached: bool, found: list[tuple[str, bool]], tmp_path: Path
) -> None:
    tree = BootTree(tmp_path, mode=PVH)
    saved("1>4")(tree)
    damage(tree)
    answer = tree.preflight()
    steps = [step.text for step in answer.chain]
    reader = "the second stage" if is_reached else "stage 1"
    assert [step for step in steps if step.startswith(f"{reader} reads /boot/grub/grub.cfg")], steps
    # stage 1 has no grubenv
    assert f"/boot/vmlinuz-{RELEASES[2] if is_reached else NEWEST}, packed with xz" in steps
    assert [(finding.name, finding.stops) for finding in answer.findings] == found
