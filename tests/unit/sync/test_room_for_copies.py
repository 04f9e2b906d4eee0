# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernels' copies are made, and which go, where there is little room for them."""

from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.formats import pv_kernel
from guest_hooks.machine import space
from guest_hooks.machine.root import Root
from guest_hooks.problems.row import State
from guest_hooks.sync import kernel_copies
from tests.support import boot_tree
from tests.support.copies_world import World

NEW, MIDDLE, OLD = boot_tree.RELEASES


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def limited(monkeypatch: pytest.MonkeyPatch, world: World, copies: int) -> None:
    """Room for so many copies, whatever is in /boot/xen already."""
    size = len(pv_kernel.make(boot_tree.kernel(NEW, "zstd")))

    def free(_root: Root, _path: str) -> int:
        used = sum(file.stat().st_size for file in (world.top / "boot/xen").glob("vmlinux-*"))
        return copies * (size + 100) + kernel_copies.MARGIN - used

    monkeypatch.setattr(space, "free", free)


def test_with_little_room_the_newest_comes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, world, 2)
    made = world.renew()
    assert world.states() == {NEW: State.CURRENT, MIDDLE: State.CURRENT, OLD: State.MISSING}
    (failure,) = made.failures
    assert isinstance(failure.error, LackingError)
    assert failure.required
    assert f"/boot/vmlinuz-{OLD}" in failure.error.message
    assert "it needs" in failure.error.message


def test_with_little_room_the_default_comes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.default("1>4")  # the oldest
    limited(monkeypatch, world, 1)
    world.renew()
    assert world.states() == {NEW: State.MISSING, MIDDLE: State.MISSING, OLD: State.CURRENT}


def test_the_copy_that_the_present_menu_starts_makes_no_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before update-grub lists a new kernel; afterwards the older one's copy makes room."""
    for release in (NEW, MIDDLE):
        world.tree.remove(f"boot/vmlinuz-{release}")
    world.renew()
    world.default("1>4")
    limited(monkeypatch, world, 1)
    world.install(NEW, "zstd")
    (failure,) = world.renew().failures
    assert world.states() == {NEW: State.MISSING, OLD: State.CURRENT}
    assert isinstance(failure.error, LackingError)
    world.tree.edit_menu('set default="1>4"', 'set default="0"')
    made = world.renew()
    assert world.states() == {NEW: State.CURRENT, OLD: State.MISSING}
    assert [change.path for change in made.changes] == [
        f"/boot/xen/vmlinux-{release}.gz" for release in (OLD, NEW)
    ]
