"""What a sync came to, told to the journal; people and programs are told by the front door."""

import os

from guest_hooks.errors import GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine import journal
from guest_hooks.machine.journal import Outcome
from guest_hooks.model import State
from guest_hooks.sync import Result


def tell(result: Result) -> None:
    """One entry for each file that was changed and for each failure."""
    if not os.path.exists(journal.SOCKET):
        return
    states = {file.path: (status.target, file.state) for status in result.status.targets for file in status.files}
    for change in result.changes:
        target, after = states.get(change.path, ("", State.CURRENT))
        journal.send(
            Outcome.REPAIRED,
            f"{change.path} was made as it should be: {', '.join(change.why)}",
            target=target,
            path=change.path,
            before=State.STALE if change.before else State.MISSING,
            after=after,
            cause=", ".join(change.why),
        )
    foreign = {problem.message for status in result.status.targets for problem in status.problems if problem.code == "foreign"}
    for failure in result.failures:
        tell_failure(failure, is_foreign=failure.message in foreign)


def tell_failure(error: GuestHooksError, *, is_foreign: bool = False) -> None:
    """One entry for what kept a run from its work; wrong usage and another run's lock are no such thing."""
    if not os.path.exists(journal.SOCKET) or not isinstance(error, LackingError | NotRepairedError):
        return
    kept = Outcome.FOREIGN if is_foreign else Outcome.NOT_REPAIRED
    outcome = Outcome.LACKING if isinstance(error, LackingError) else kept
    journal.send(outcome, error.message, cause=error.message, hint=error.hint)
