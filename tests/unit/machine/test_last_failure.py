# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that started a run has its cause in the run's own words."""

from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import last_failure
from guest_hooks.machine.root import Root

NO_ROOM = LackingError("/boot/xen: needs 2.8 MiB, 2.5 MiB free", hint="make room")


def test_a_failure_is_there_until_a_run_succeeds(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    last_failure.note(root, None)
    last_failure.note(root, NO_ROOM)
    found = last_failure.read(root, 7)
    assert found is not None
    assert (found.message, found.hint) == (NO_ROOM.message, NO_ROOM.hint)
    assert last_failure.read(root, 4) is None  # that run ended otherwise, and left no word
    last_failure.note(root, None)
    assert last_failure.read(root, 7) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"code": 7}', '{"code": 7, "message": 1}'])
def test_what_is_not_understood_is_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / last_failure.PATH.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert last_failure.read(Root(str(tmp_path)), 7) is None
