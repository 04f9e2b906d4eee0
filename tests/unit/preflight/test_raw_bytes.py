# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB reads on the raw device against what the guest reads by names."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.preflight.raw_bytes import SETTLES, Reader
from guest_hooks.problems.boot import Stage1Problem
from tests.support.boot_damage import STAGE2
from tests.support.boot_tree import BootTree

MENU = "/boot/grub/grub.cfg"
DEVICE = "/dev/xvda1"


@pytest.fixture
def tree(tmp_path: Path) -> BootTree:
    """A guest of which GRUB reads what it has."""
    tree = BootTree(tmp_path)
    for path in (MENU, STAGE2):
        tree.disks.contents[DEVICE, path] = tree.read(path[1:])
    return tree


@pytest.mark.parametrize("path", [MENU, STAGE2])
def test_other_bytes_in_the_usual_layout(tree: BootTree, path: str) -> None:
    assert tree.preflight().findings == ()
    tree.disks.contents[DEVICE, path] = b"other"
    os.utime(tree.top / path[1:])
    (found,) = tree.preflight().findings
    assert (found.code, found.thing) == (Stage1Problem.OTHER_BYTES, path)


def test_a_file_that_grub_lists_and_does_not_read(tree: BootTree) -> None:
    del tree.disks.contents[DEVICE, MENU]
    assert tree.preflight().findings == ()
    tree.disks.files[DEVICE] = (MENU,)
    assert [each.thing for each in tree.preflight().findings] == [MENU]


def test_a_step_can_be_pasted_where_a_name_has_a_space(tmp_path: Path) -> None:
    tree = BootTree(tmp_path / "a guest")
    tree.disks.contents[DEVICE, MENU] = b"other"
    (found,) = tree.preflight().findings
    assert f"findmnt -T '{tree.top}{MENU}'" in found.hint


def test_an_empty_file_is_the_same_as_an_empty_one(tree: BootTree) -> None:
    tree.write(MENU[1:], b"")
    tree.disks.contents[DEVICE, MENU] = b""
    tree.disks.files[DEVICE] = (MENU,)
    assert Stage1Problem.OTHER_BYTES not in {each.code for each in tree.preflight().findings}


def test_what_was_the_same_is_not_read_again(
    tree: BootTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tree.preflight()
    assert tree.disks.asked == [DEVICE, DEVICE]
    tree.preflight()
    assert tree.disks.asked == [DEVICE, DEVICE]
    tree.write(MENU[1:], tree.read(MENU[1:]) + b"\n")
    tree.preflight()
    assert len(tree.disks.asked) > 2


@pytest.mark.parametrize(
    ("fs_type", "age", "is_found"),
    [
        pytest.param("xfs", 0, False, id="xfs-which-is-not-there-yet"),
        pytest.param("xfs", SETTLES + 1, True, id="xfs-after-its-log-s-time"),
        pytest.param("ext4", 0, True, id="ext4"),
    ],
)
def test_what_was_just_written(tree: BootTree, fs_type: str, age: int, is_found: bool) -> None:
    tree.disks.contents[DEVICE, MENU] = b"what was there before"
    root = Root(str(tree.top))
    reader = Reader(
        root=root,
        boot=replace(tree.boot, fs_type=fs_type),
        own=[DEVICE],
        memory=Memory(root),
        run=tree.disks,
        now=lambda: time.time() + age,
    )
    assert list(reader.differing([])) == ([MENU] if is_found else [])
