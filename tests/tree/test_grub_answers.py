# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB's tools answered is kept, and asked again when the basis of it has changed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from guest_hooks.machine import grub_tools, run
from guest_hooks.machine.grub_answers import Answers
from guest_hooks.machine.root import Root
from tests.support import images


@pytest.fixture
def asked(
    ext4: images.Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[], list[str]]:
    """Ask about the disk's /boot as the running system's, and which questions were put to GRUB's
    tools; the answers are kept in a file of the test's.
    """
    monkeypatch.setattr("guest_hooks.machine.grub_answers.ANSWERS", f"{tmp_path}/answers.json")
    calls: list[Sequence[str]] = []

    def seen(command: Sequence[str], **options: Any) -> run.Completed:
        calls.append(command)
        return run.run(command, **options)

    monkeypatch.setattr(grub_tools, "run", seen)

    def ask() -> list[str]:
        calls.clear()
        answers = Answers(Root())
        top = ext4.top / "boot"
        (told,) = grub_tools.facts(Root(), [[str(top)]], answers)
        answers.save()
        assert told["fs_uuid"] == images.tool("grub-probe", "--target=fs_uuid", str(top))
        assert (told["fs"], told["path"], told["abstraction"]) == ("ext2", "/boot", "")
        return [word for command in calls for word in command[4::2]]

    return ask


def test_what_was_answered_is_not_asked_again(
    asked: Callable[[], list[str]], ext4: images.Disk
) -> None:
    assert asked() == [*grub_tools.PROBED, "path"]
    assert asked() == []
    images.tool("tune2fs", "-U", "random", ext4.root.device)
    assert asked() == ["fs_uuid"]
    assert asked() == []


def test_a_damaged_memory_is_none(asked: Callable[[], list[str]], tmp_path: Path) -> None:
    asked()
    (tmp_path / "answers.json").write_text('{"version":1,"answers":{"fs /boot":["x"]}')
    assert asked() == [*grub_tools.PROBED, "path"]


def test_nothing_is_kept_of_a_tree_or_for_a_user(
    ext4: images.Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answers in (Answers(Root(str(ext4.top))), as_user(monkeypatch)):
        answers.put("fs /boot", ("basis",), "ext2")
        assert answers.get("fs /boot", ("basis",)) is None
        assert not answers.are_kept


def as_user(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return Answers(Root())
