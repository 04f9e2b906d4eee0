# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of one run wait for the disk together."""

import os
from pathlib import Path

import pytest

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import durable, settling
from guest_hooks.machine.barrier import LATE
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Problem, Severity
from guest_hooks.problems.runs import RunProblem

SECOND_STAGE, MENU = "/boot/xen/pvboot-x86_64.elf", "/boot/grub/grub.cfg"
UNKNOWN = Problem(code=RunProblem.BARRIER_UNKNOWN, message="not sure", severity=Severity.WARNING)
TOO_LATE = Problem(code=LATE, message="late", severity=Severity.WARNING)


class Disk:
    """A tree whose barriers are recorded, with the names that stood in its directories then."""

    def __init__(self, top: Path, answers: list[Problem | None]) -> None:
        self.root = Root(str(top))
        self.answers = answers
        self.seen: list[int] = []
        for path in (SECOND_STAGE, MENU):
            durable.make_dirs(self.root, os.path.dirname(path))
            durable.replace(self.root, path, b"old")

    def barrier(self, _root: Root, _where: str) -> Problem | None:
        self.seen.append(len(self.root.names("/boot/xen")) + len(self.root.names("/boot/grub")))
        return self.answers.pop(0) if self.answers else None

    def names(self) -> tuple[str, ...]:
        return self.root.names("/boot/xen") + self.root.names("/boot/grub")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path, [])
    monkeypatch.setattr(settling, "barrier", made.barrier)
    monkeypatch.setattr("guest_hooks.machine.barrier.barrier", made.barrier)
    return made


def both(disk: Disk, run: Settling) -> None:
    durable.replace_all(disk.root, {SECOND_STAGE: b"new"}, settling=run)
    durable.replace_all(disk.root, {MENU: b"new"}, settling=run)


def test_two_files_wait_three_times(disk: Disk) -> None:
    run = Settling(disk.root)
    both(disk, run)
    run.finish()
    # The new file and both names of the old one stand beside each other, then the same of the menu.
    assert disk.seen == [4, 5, 3]
    assert disk.names() == ("pvboot-x86_64.elf", "grub.cfg")
    assert run.problems == ()
    assert run.is_settled("/boot/grub")


def test_a_step_that_is_late_keeps_its_old_file_and_those_before(disk: Disk) -> None:
    disk.answers = [None, TOO_LATE]
    run = Settling(disk.root)
    with pytest.raises(NotRepairedError, match="nothing was replaced"):
        both(disk, run)
    assert disk.root.read(MENU) == b"old"
    assert len(disk.names()) == 3
    run.finish()
    assert disk.names() == ("pvboot-x86_64.elf", "grub.cfg")


def test_what_is_late_at_the_end_stays(disk: Disk) -> None:
    disk.answers = [None, None, TOO_LATE]
    run = Settling(disk.root)
    both(disk, run)
    run.finish()
    assert len(disk.names()) == 3
    assert run.problems == (TOO_LATE,)
    assert not run.is_settled("/boot/grub")


def test_what_could_not_be_made_sure_of_is_noted_once(disk: Disk) -> None:
    disk.answers = [UNKNOWN, UNKNOWN, UNKNOWN]
    run = Settling(disk.root)
    both(disk, run)
    run.finish()
    assert run.problems == (UNKNOWN,)
    assert disk.names() == ("pvboot-x86_64.elf", "grub.cfg")


def test_nothing_changed_waits_for_nothing(disk: Disk) -> None:
    Settling(disk.root).finish()
    assert disk.seen == []
