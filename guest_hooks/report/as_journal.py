# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync came to, told to the journal, and what of it people are to be warned of; the
entry point has the words.
"""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from guest_hooks.errors import ForeignError, GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine import journal
from guest_hooks.machine.journal import Outcome
from guest_hooks.model import Change, Problem, Severity, Status, TargetStatus
from guest_hooks.origin import By
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import FOR_STATUS_ALONE
from guest_hooks.report.reasons import ROLLBACK, change_text

if TYPE_CHECKING:  # whoever has one has loaded it
    from guest_hooks.sync.result import Result


def tell(result: "Result", by: By) -> None:
    """One entry for each file that was changed `by` somebody, for each failure that is new and
    for each warning.
    """
    if not os.path.exists(journal.SOCKET):
        return
    before, after = _states(result.before), _states(result.status)
    for change in result.changes:
        target, state = after.get(change.path, ("", ""))
        was = before[change.path][1] if change.path in before else ""
        tell_change(change, by, target=target, before=was, after=state)
    for failure in (each for each in result.failures if each not in result.repeated):
        tell_failure(failure, by, after)
    tell_warnings(() if result.repeated else warnings(result))


def tell_change(change: Change, by: By, *, target: str, before: str, after: str) -> None:
    """The entry for one file of `target` that was changed `by` somebody, with its state before and
    after.
    """
    journal.send(
        Outcome.ROLLED_BACK if change.why == (ROLLBACK,) else Outcome.REPAIRED,
        change_text(change, dry_run=False),
        target=target,
        path=change.path,
        before=before,
        after=after,
        cause=", ".join(change.why),
        by=by,
    )


def tell_warnings(warnings: Iterable[Problem]) -> None:
    """An entry for each."""
    for warning in warnings:
        journal.send(Outcome.WARNED, warning.message, cause=warning.message, hint=warning.hint)


def warnings(result: "Result", *, is_foretold: bool = False) -> tuple[Problem, ...]:
    """What `result` warns of, however the run ended, an optional target that is not current
    included; no error is among it.

    `is_foretold`: nothing was done yet, so that a target is not what it will be.
    """
    status = result.status
    menu = status.grub_cfg.problems if status.grub_cfg else ()
    told = (
        *status.problems,
        *(problem for target in status.targets for problem in target.problems),
        *menu,
    )
    left = (
        ()
        if is_foretold
        else (each for each in status.targets if not each.required and not each.is_settled)
    )
    return (
        *(
            problem
            for problem in told
            if problem.severity is Severity.WARNING and problem.code not in FOR_STATUS_ALONE
        ),
        *map(_left, left),
    )


def _left(target: TargetStatus) -> Problem:
    """An optional target that is not current, which is no failure."""
    message = f"{target.target}, which is optional, is {target.state}"
    return Problem.of(RunProblem.OPTIONAL_TARGET, message)


def _states(status: Status) -> dict[str, tuple[str, str]]:
    """Target (empty for a menu) and state of each file that has a verdict of its own."""
    files = {
        file.path: (target.target, str(file.state))
        for target in status.targets
        for file in target.files
    }
    return files | (
        {status.grub_cfg.path: ("", str(status.grub_cfg.state))} if status.grub_cfg else {}
    )


def tell_failure(
    error: GuestHooksError, by: By, states: Mapping[str, tuple[str, str]] = MappingProxyType({})
) -> None:
    """One entry for what kept a run from its work; wrong usage and another run's lock are no
    such thing. `states` has the target and the state of each file.
    """
    if not os.path.exists(journal.SOCKET) or not isinstance(error, LackingError | NotRepairedError):
        return
    kept = Outcome.FOREIGN if isinstance(error, ForeignError) else Outcome.NOT_REPAIRED
    outcome = Outcome.LACKING if isinstance(error, LackingError) else kept
    path = error.path if isinstance(error, NotRepairedError) else ""
    target, state = states.get(path, ("", ""))
    journal.send(
        outcome,
        error.message,
        target=target,
        path=path,
        before=state,
        after=state,
        cause=error.message,
        hint=error.hint,
        by=by,
    )
