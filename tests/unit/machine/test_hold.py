# SPDX-License-Identifier: GPL-3.0-or-later
"""A hold: how it is written down, until when it lasts, and what a person is told of it."""

import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.cli import times
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.machine import hold, journal, service
from guest_hooks.machine.root import Root
from guest_hooks.origin import By, Doer
from guest_hooks.repairs import NEVER, Hold, ServiceStatus
from guest_hooks.sync import holding
from tests.support import report_schema
from tests.support.command_line import Run

FILE = "var/lib/xen-guest-bootloader/hold.json"


@pytest.fixture(autouse=True)
def root_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_hold_and_unhold(tree: Path) -> None:
    top = ["--root", str(tree)]
    done = Run("hold", *top, "--json")
    assert report_schema.complaints(done.json, "hold") == []
    assert (done.code, done.json["repair"]["state"], done.json["repair"]["until"]) == (
        0,
        "held",
        "",
    )
    assert hold.held_for(Root(str(tree)), repair=True) == NEVER
    assert Run("unhold", *top, "--json").json["repair"]["state"] == "on"
    assert hold.load(Root(str(tree))) is None
    assert not (tree / FILE).exists()
    assert "not on hold" in Run("unhold", *top).stdout


def test_a_hold_ends_by_itself(tree: Path) -> None:
    now = time.time()
    done = Run("hold", "--root", str(tree), "--until", "2h")
    assert "on hold since" in done.stdout
    assert f"To end it: xen-guest-bootloader unhold --root {tree}\n" in done.stdout
    assert "until" in done.stdout
    root = Root(str(tree))
    assert 7000 < hold.held_for(root, repair=True) <= 7200
    assert hold.load(root, now=now + 7300) is None
    assert hold.held_for(root, repair=True, now=now + 7300) == 0
    assert hold.held_for(root, repair=False, now=now + 7300) == NEVER


def test_a_time_that_is_over_holds_nothing(tree: Path) -> None:
    done = Run("hold", "--root", str(tree), "--until", "2020-01-01")
    assert done.code == ExitCode.USAGE
    assert not (tree / FILE).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"since": 1}',
        '{"until": "x"}',
        "\x00",
        '{"since": 1e300, "until": null, "by": ""}',
        '{"since": 0, "until": 1e300, "by": ""}',
        '{"since": 0, "until": NaN, "by": ""}',
    ],
)
def test_a_file_that_is_not_understood_is_a_hold(tree: Path, text: str) -> None:
    (tree / FILE).parent.mkdir(parents=True)
    (tree / FILE).write_text(text)
    assert hold.load(Root(str(tree))) == Hold(since=0)


def test_only_root_may_hold(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for verb in ("hold", "unhold"):
        done = Run(verb, "--root", str(tree), "--json")
        assert done.code == ExitCode.LACKING
        assert "must be run as root" in done.json["error"]["message"]


def test_what_is_written_is_readable_to_all(tree: Path) -> None:
    Run("hold", "--root", str(tree))
    assert (tree / FILE).stat().st_mode & 0o777 == 0o644
    assert json.loads((tree / FILE).read_text())["until"] is None


def at(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:00", "2026-11-25 18:00"),
        ("9:30", "2026-11-26 09:30"),
        ("2026-11-30", "2026-11-30 00:00"),
        ("2026-11-30 18:00", "2026-11-30 18:00"),
        ("2026-11-30T18:00", "2026-11-30 18:00"),
        ("2026-11-30 9:30", "2026-11-30 09:30"),
        ("tomorrow", "2026-11-26 00:00"),
        ("tomorrow 18:00", "2026-11-26 18:00"),
        ("Tomorrow 6:05", "2026-11-26 06:05"),
        ("2h", "2026-11-25 16:40"),
        ("+30min", "2026-11-25 15:10"),
        ("3 days", "2026-11-28 14:40"),
        ("1 week", "2026-12-02 14:40"),
    ],
)
def test_a_time_as_people_write_it(text: str, expected: str) -> None:
    assert times.until(text, at("2026-11-25 14:40")) == at(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "5", "-1h", "2026-13-01", "yesterday", "1e9h", "tomorrow 25:00"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        times.until(text, at("2026-11-25 14:40"))


def test_each_form_that_is_named_is_one_word_for_the_shell() -> None:
    with pytest.raises(UsageError) as caught:
        times.until("soon", at("2026-11-25 14:40"))
    forms = caught.value.hint.partition("one of: ")[2].split(", ")
    assert len(forms) == 7
    for form in forms:
        (word,) = shlex.split(form)
        assert times.until(word, at("2026-11-25 14:40"))


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone whose clocks are set forward on 2026-03-29 and back on 2026-10-25."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("2:30", "2026-03-28 12:00", "2026-03-29 03:30"),  # no clock shows 2:30 that day
        ("18:00", "2026-03-28 20:00", "2026-03-29 18:00"),
        ("1 day", "2026-03-28 12:00", "2026-03-29 13:00"),
        ("tomorrow", "2026-10-24 12:00", "2026-10-25 00:00"),
        ("tomorrow 18:00", "2026-10-24 12:00", "2026-10-25 18:00"),
        ("2026-11-30T18:00Z", "2026-10-24 12:00", "2026-11-30 19:00"),
        ("2026-11-30 18:00+05:30", "2026-10-24 12:00", "2026-11-30 13:30"),
    ],
)
def test_a_time_where_clocks_are_set(text: str, now: str, expected: str) -> None:
    assert times.until(text, at(now)) == at(expected)


@pytest.mark.usefixtures("berlin")
def test_the_journal_has_the_time_of_the_guest_s_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path))
    monkeypatch.setattr(journal, "send", lambda _outcome, message, **_fields: told.append(message))
    monkeypatch.setattr(hold, "save", lambda *_unused, **_more: None)
    monkeypatch.setattr(service, "read", lambda _root: ServiceStatus(running=False))
    by = By(doer=Doer.PERSON, name="alice")
    holding.hold_repairs(Root(), until=at("2026-07-01 18:00"), by=by, lock_timeout=0)
    assert told == ["Automatic repairs are on hold until 2026-07-01 18:00 CEST."]
