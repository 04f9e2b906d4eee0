# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree as it would be with other files in it."""

from pathlib import Path

import pytest

from guest_hooks.machine.overlay import Overlay
from guest_hooks.machine.root import NotRegularError


def test_an_overlay_shows_the_tree_as_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/there").write_bytes(b"old")
    view = Overlay(str(tmp_path), {"/boot/there": b"new", "/boot/not-there": b"newer"})
    assert (view.read("/boot/there"), view.read_text("/boot/not-there")) == (b"new", "newer")
    status = view.stat("/boot/not-there")
    assert status is not None
    assert (status.st_size, view.exists("/boot/not-there"), view.exists("/boot/else")) == (
        5,
        True,
        False,
    )
    assert view.lstat("/boot/there") == view.stat("/boot/there")
    assert view.names("/boot") == ("there",)
    with pytest.raises(NotRegularError):
        view.read("/boot/not-there", limit=4)
    assert (tmp_path / "boot/there").read_bytes() == b"old"
