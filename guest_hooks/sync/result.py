# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a sync, what came of it, and the exit code that follows."""

from collections.abc import Mapping, Sequence

from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.model import Change, Choices, Problem, State, Status, TargetStatus
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import dataclass, field, replace
from guest_hooks.survey.plan import Plan
from guest_hooks.survey.status import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a sync; `automatic` runs (hooks, triggers, the service) leave what
    `rollback` put back alone.

    `choices` are those of the grub-install by hand that this sync completes, by target; without
    them the ones before it stay. `waits_for_packages`: it begins when the package manager is done;
    for runs that no package started.
    """

    targets: tuple[str, ...] = ()
    dry_run: bool = False
    force: bool = False
    adopt: bool = False
    update_grub: bool = True
    automatic: bool = False
    waits_for_packages: bool = False
    lock_timeout: float = 60.0
    choices: Mapping[str, Choices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How it was and is, what was changed (on a dry run: what would be), and what failed for
    required targets.

    `repeated` are those of `failures` that an earlier run has already reported in the same words.
    `is_settled`: GRUB sees the file system of /boot/grub as it is after this run, whoever wrote it.
    `is_held`: this automatic run changed nothing, because it may not; `changes` are what it would
    have changed.
    """

    before: Status
    status: Status
    changes: tuple[Change, ...] = ()
    failures: tuple[GuestHooksError, ...] = ()
    repeated: tuple[GuestHooksError, ...] = ()
    is_settled: bool = False
    is_held: bool = False

    @property
    def is_repeated(self) -> bool:
        """Whether an earlier run has said, and the journal has, all that failed."""
        return bool(self.failures) and set(self.failures) <= set(self.repeated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What kept `name`, a target or a file, from being as it should be."""

    name: str
    required: bool
    error: GuestHooksError


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one step of a run changed, what it could not make sure of, and what failed in it."""

    changes: tuple[Change, ...] = ()
    unsure: tuple[Problem, ...] = ()
    failures: tuple[Failure, ...] = ()

    def __add__(self, later: "Done") -> "Done":
        return Done(
            changes=self.changes + later.changes,
            unsure=self.unsure + later.unsure,
            failures=self.failures + later.failures,
        )


def exit_code(result: Result, request: Request, config: Config) -> ExitCode:
    """What a run that ended with `result` exits with."""
    if request.dry_run or result.is_held:
        return ExitCode.DIFFERS if result.changes or result.failures else ExitCode.OK
    if result.failures:
        return result.failures[0].exit_code
    targets = [
        status for status in result.status.targets if status.required and not is_held(status)
    ]
    menu = result.status.grub_cfg if request.update_grub and config.update_grub else None
    is_done = all(status.is_settled for status in targets)
    is_done = is_done and (menu is None or menu.state is State.CURRENT)
    return ExitCode.OK if is_done else ExitCode.NOT_REPAIRED


def is_held(status: TargetStatus) -> bool:
    """Whether `rollback` put this second stage back, for automatic runs to leave alone."""
    return any(problem.code == SecondStageProblem.HELD_BY_ROLLBACK for problem in status.problems)


def failure_of(plan: Plan, error: GuestHooksError) -> Failure:
    """That `error` kept the plan's target from being as it should be."""
    return Failure(name=plan.target.name, required=plan.required, error=error)


def result_of(
    before: Survey,
    after: Survey,
    changes: tuple[Change, ...],
    failures: Sequence[Failure],
    warnings: tuple[Problem, ...],
) -> Result:
    """The result of a run; what failed for a target that is not required is a warning."""
    optional = tuple(
        Problem.of(
            RunProblem.TARGET_FAILED, f"{each.name}: {each.error.message}", step=each.error.hint
        )
        for each in failures
        if not each.required
    )
    return Result(
        before=before.status,
        status=replace(
            after.status,
            problems=tuple(dict.fromkeys((*after.status.problems, *warnings, *optional))),
        ),
        changes=changes,
        failures=tuple(each.error for each in failures if each.required),
    )
