# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal is told of a sync: one entry for each file and each failure, with the states
there were and are.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.errors import (
    ForeignError,
    GuestHooksError,
    KeptError,
    LackingError,
    LockedError,
    NotRepairedError,
    UsageError,
)
from guest_hooks.machine import journal
from guest_hooks.machine.journal import Outcome
from guest_hooks.model import (
    Change,
    FileStatus,
    GrubCfgStatus,
    Guest,
    Mode,
    Problem,
    Severity,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.origin import By, Doer
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.report import as_journal
from guest_hooks.sync.result import Result

PATH = "/boot/xen/pvboot-x86_64.elf"
MENU = "/boot/grub/grub.cfg"
BY = By(doer=Doer.PERSON, name="alice")
MODULES = "/boot/grub/x86_64-xen/ls.mod"


def status(state: State, *problems: Problem) -> Status:
    files = (FileStatus(path=PATH, state=state),)
    target = TargetStatus(
        target="x86_64-xen", required=True, state=state, files=files, problems=problems
    )
    menu = GrubCfgStatus(path=MENU, state=state)
    return Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(target,), grub_cfg=menu)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Outcome, dict[str, str]]]:
    """A journal that listens, and what it was told."""
    entries: list[tuple[Outcome, dict[str, str]]] = []
    (tmp_path / "socket").touch()
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "socket"))
    monkeypatch.setattr(
        journal,
        "send",
        lambda outcome, message, **fields: entries.append(
            (outcome, {"message": message, **fields})
        ),
    )
    return entries


@pytest.mark.parametrize("state", [State.MISSING, State.STALE, State.INVALID, State.FOREIGN])
def test_a_repair_tells_the_state_that_there_was(
    told: list[tuple[Outcome, dict[str, str]]], state: State
) -> None:
    changes = tuple(
        Change(
            path=path,
            before="",
            after="a" * 64,
            why=(SecondStageProblem.MISSING, SecondStageProblem.COPY_DIFFERS),
        )
        for path in (PATH, MENU, MODULES)
    )
    as_journal.tell(Result(before=status(state), status=status(State.CURRENT), changes=changes), BY)
    rows = [
        (outcome, fields["path"], fields["target"], fields["before"], fields["after"])
        for outcome, fields in told
    ]
    assert rows == [
        (Outcome.REPAIRED, PATH, "x86_64-xen", state, State.CURRENT),
        (Outcome.REPAIRED, MENU, "", state, State.CURRENT),
        (Outcome.REPAIRED, MODULES, "", "", ""),
    ]
    assert {fields["cause"] for _, fields in told} == {"missing, copy-differs"}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(
            NotRepairedError("it broke", hint="mend it"), Outcome.NOT_REPAIRED, id="not-repaired"
        ),
        pytest.param(LackingError("no room", hint="mend it"), Outcome.LACKING, id="lacking"),
        pytest.param(
            ForeignError("not ours", hint="mend it", path=PATH), Outcome.FOREIGN, id="foreign"
        ),
        pytest.param(
            KeptError("it was kept", path=PATH, before="a", made="b", hint="mend it"),
            Outcome.NOT_REPAIRED,
            id="kept",
        ),
    ],
)
def test_a_failure_is_told_with_its_next_step(
    told: list[tuple[Outcome, dict[str, str]]], error: GuestHooksError, outcome: Outcome
) -> None:
    foreign = Problem(code=SecondStageProblem.FOREIGN, message="not ours")
    found = status(State.FOREIGN, foreign)
    as_journal.tell(Result(before=found, status=found, failures=(error,)), BY)
    words = {"message": error.message, "cause": error.message, "hint": "mend it", "by": BY}
    of_file = {"path": PATH, "target": "x86_64-xen", "before": "foreign", "after": "foreign"}
    of_none = dict.fromkeys(of_file, "")
    where = of_file if getattr(error, "path", "") else of_none
    assert told == [(outcome, words | where)]
    told.clear()
    as_journal.tell(Result(before=found, status=found, failures=(error,), repeated=(error,)), BY)
    assert told == [], "what an earlier run has said is not said again"


@pytest.mark.parametrize("error", [UsageError("what?"), LockedError("another run")])
def test_what_is_no_news_of_the_boot_loader_is_not_told(
    told: list[tuple[Outcome, dict[str, str]]], error: GuestHooksError
) -> None:
    as_journal.tell_failure(error, BY)
    assert told == []


def test_without_a_journal_nothing_is_said(
    told: list[tuple[Outcome, dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(journal, "SOCKET", "/nonexistent")
    found = status(State.MISSING)
    change = Change(path=PATH, before="", after="a", why=(SecondStageProblem.MISSING,))
    as_journal.tell(
        replace(
            Result(before=found, status=found),
            changes=(change,),
            failures=(NotRepairedError("it broke"),),
        ),
        BY,
    )
    assert told == []
    assert tuple(capsys.readouterr()) == ("", "")


WARNING = Problem(
    code=RunProblem.BARRIER_REFUSED, message="not sure", hint="shut down", severity=Severity.WARNING
)
HELD = Problem(
    code=SecondStageProblem.HELD_BY_ROLLBACK,
    message="held",
    hint="take the newest",
    severity=Severity.WARNING,
)


def optional(state: State) -> TargetStatus:
    problem = Problem(
        code=SecondStageProblem.MISSING, message="it is not as it should be", hint="mend it"
    )
    files = (FileStatus(path="/boot/xen/pvhboot-i386.elf", state=state),)
    return TargetStatus(
        target="i386-xen_pvh", required=False, state=state, files=files, problems=(problem,)
    )


@pytest.mark.parametrize(
    ("found", "messages"),
    [
        pytest.param(status(State.CURRENT), [], id="well"),
        pytest.param(
            status(State.STALE, Problem(code=SecondStageProblem.UUID_MISMATCH, message="an error")),
            [],
            id="an-error",
        ),
        pytest.param(
            replace(
                status(State.CURRENT),
                problems=(WARNING, Problem(code=SecondStageProblem.UUID_MISMATCH, message="x")),
            ),
            ["not sure"],
            id="status",
        ),
        pytest.param(status(State.STALE, HELD), ["held"], id="held"),
        pytest.param(
            replace(status(State.CURRENT), targets=(optional(State.MISSING),)),
            ["i386-xen_pvh, which is optional, is missing"],
            id="optional",
        ),
        pytest.param(
            replace(status(State.CURRENT), targets=(optional(State.CURRENT),)),
            [],
            id="optional-and-well",
        ),
    ],
)
def test_a_warning_is_told_with_its_next_step(
    told: list[tuple[Outcome, dict[str, str]]], found: Status, messages: list[str]
) -> None:
    result = Result(before=found, status=found)
    warnings = as_journal.warnings(result)
    assert [problem.message for problem in warnings] == messages
    assert all(problem.hint and problem.severity is Severity.WARNING for problem in warnings)
    as_journal.tell(result, BY)
    assert [(outcome, fields["message"], bool(fields["hint"])) for outcome, fields in told] == [
        (Outcome.WARNED, message, True) for message in messages
    ]


def test_what_a_dry_run_would_mend_is_no_warning() -> None:
    found = replace(status(State.CURRENT), targets=(optional(State.MISSING),))
    assert as_journal.warnings(Result(before=found, status=found), is_foretold=True) == ()
