# SPDX-License-Identifier: GPL-3.0-or-later
"""When a lost second stage is put back without a survey, and what is said of it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from guest_hooks import cli
from guest_hooks.cli import lost_files
from guest_hooks.errors import LockedError, NotRepairedError
from guest_hooks.machine import dpkg, fingerprint, hold, journal, lock, spares
from guest_hooks.machine.root import Root
from guest_hooks.machine.spares import PutBack
from guest_hooks.model import Problem
from guest_hooks.problems.runs import RunProblem
from guest_hooks.repairs import Hold

FILE = "/boot/xen/pvboot-x86_64.elf"
TOLD = f"Rebuilt {FILE}: it was missing.\n"


class World:
    """What the machine answers; `asked` is the fingerprint that a file was put back by."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.done: PutBack | Exception = PutBack(files=(FILE,))
        self.holder = ""
        self.changed_at = 0
        self.hold: Hold | None = None
        self.is_locked = False
        self.entries: list[tuple[object, ...]] = []

    def put_back(self, _root: Root, path: str) -> PutBack:
        self.asked.append(path)
        if isinstance(self.done, Exception):
            raise self.done
        return self.done

    @contextmanager
    def held(self, _root: Root, *, timeout: float) -> Iterator[None]:
        if self.is_locked:
            raise LockedError(f"waited {timeout} s")
        yield


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.delenv(dpkg.INSIDE, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(spares, "put_back", made.put_back)
    monkeypatch.setattr(lock, "held", made.held)
    monkeypatch.setattr(dpkg, "holder", lambda _root: made.holder)
    monkeypatch.setattr(dpkg, "changed_at", lambda _root: made.changed_at)
    monkeypatch.setattr(hold, "load", lambda _root: made.hold)
    monkeypatch.setattr(journal, "SOCKET", "/")
    monkeypatch.setattr("guest_hooks.machine.last_failure.PATH", "/nonexistent")

    def sent(outcome: journal.Outcome, message: str, **fields: object) -> None:
        row = (
            outcome,
            message,
            *(fields.get(key) for key in ("target", "before", "after", "cause")),
        )
        made.entries.append(row)

    monkeypatch.setattr(journal, "send", sent)
    return made


def test_it_is_told_as_a_sync_tells_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert lost_files.put_back(["sync"], "fingerprint")
    assert world.asked == ["fingerprint"]
    assert capsys.readouterr().out == TOLD
    outcome, message, *fields = world.entries.pop()
    assert (outcome, message) == (journal.Outcome.REPAIRED, TOLD.strip())
    assert fields == ["x86_64-xen", "missing", "current", "missing"]


def test_a_quiet_run_says_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert lost_files.put_back(["sync", "--quiet", "--automatic"], "fingerprint")
    assert capsys.readouterr().out == ""
    assert len(world.entries) == 1


def test_a_warning_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.done = PutBack(
        files=(FILE,), problems=(Problem.of(RunProblem.BARRIER_UNKNOWN, "not sure"),)
    )
    assert lost_files.put_back(["sync", "-q"], "fingerprint")
    assert "not sure" in capsys.readouterr().err
    assert [entry[0] for entry in world.entries] == [
        journal.Outcome.REPAIRED,
        journal.Outcome.WARNED,
    ]


def recently(world: World) -> None:
    world.changed_at = time.time_ns()


@pytest.mark.parametrize(
    ("words", "change"),
    [
        pytest.param("sync", lambda world: setattr(world, "holder", "apt"), id="apt-at-work"),
        pytest.param("sync", lambda world: setattr(world, "is_locked", True), id="another-run"),
        pytest.param("sync --automatic", recently, id="packages-changed"),
        pytest.param(
            "sync --automatic", lambda world: setattr(world, "hold", Hold(since=0.0)), id="on-hold"
        ),
    ],
)
def test_who_has_something_to_wait_for_puts_nothing_back(
    world: World, words: str, change: Callable[[World], None]
) -> None:
    change(world)
    assert not lost_files.put_back(words.split(), "fingerprint")
    assert world.asked == []


@pytest.mark.parametrize(("name", "value"), [("geteuid", 1000), ("environ", {dpkg.INSIDE: "1"})])
def test_who_may_not_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(os, name, (lambda: value) if callable(getattr(os, name)) else value)
    assert not lost_files.put_back(["sync"], "fingerprint")
    assert world.asked == []


@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        pytest.param(NotRepairedError("the disk fails"), [], id="foreseen"),
        pytest.param(FileNotFoundError("no spare"), [], id="no-spare"),
        pytest.param(KeyError("a bug"), [journal.Outcome.FAULT], id="internal"),
    ],
)
def test_what_fails_is_left_to_a_survey(
    world: World, error: Exception, outcomes: list[journal.Outcome]
) -> None:
    world.done = error
    assert not lost_files.put_back(["sync"], "fingerprint")
    assert [entry[0] for entry in world.entries] == outcomes


@pytest.mark.parametrize(
    ("words", "changed", "is_asked"),
    [
        pytest.param("sync", ("/nonexistent/a",), True, id="gone"),
        pytest.param(
            "sync --automatic --lock-timeout 300", ("/nonexistent/a",), True, id="the-service"
        ),
        pytest.param("sync", ("/nonexistent/a", "/etc/passwd"), False, id="not-only-gone"),
        pytest.param("sync", (fingerprint.FINGERPRINT,), False, id="no-fingerprint"),
        pytest.param("sync --dry-run", ("/nonexistent/a",), False, id="more-is-asked"),
    ],
)
def test_only_what_is_gone_is_put_back(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    changed: tuple[str, ...],
    is_asked: bool,
) -> None:
    monkeypatch.setattr(fingerprint, "differing", lambda _path: changed)
    monkeypatch.setattr("guest_hooks.cli.verbs.run", lambda _words: 9)
    assert cli.main([*words.split(), "-q"]) == (0 if is_asked else 9)
    assert bool(world.asked) == is_asked
