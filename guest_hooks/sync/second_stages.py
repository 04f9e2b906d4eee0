# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the second stages of all targets, and installing them together."""

from collections.abc import Sequence
from dataclasses import replace

from guest_hooks.config import Config, Modules
from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import receipts
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Change, Problem, State, TargetStatus
from guest_hooks.problems.runs import RunProblem
from guest_hooks.survey import evidence, plan
from guest_hooks.survey.plan import Plan
from guest_hooks.survey.status import Survey
from guest_hooks.sync import commit, safeguard
from guest_hooks.sync.build import Built, build
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Failure, Request, failure_of


def build_all(
    root: Root,
    found: Survey,
    targets: Sequence[tuple[Plan, TargetStatus]],
    request: Request,
    step: Step,
    run: Run,
) -> tuple[list[tuple[Built, TargetStatus]], list[Failure]]:
    """Build what `targets` need, beside the live files; what fails for one does not keep the
    others from being built.
    """
    built, failures = [], []
    receipt = receipts.load(root)
    for each, status in targets:
        try:
            with step(f"Building the second stage for {each.target.name}"):
                if not request.force:
                    safeguard.second_stage(root, found, each, status, receipt)
                remembered = receipt.target(each.target.name)
                made = build(
                    root,
                    each,
                    evidence.packaged(root, each.target),
                    remembered,
                    anew=request.force,
                    run=run,
                )
                built.append((made, status))
        except GuestHooksError as error:
            failures.append(failure_of(each, error))
    return built, failures


def install(
    root: Root,
    config: Config,
    found: Survey,
    built: Sequence[tuple[Built, TargetStatus]],
    settling: Settling,
    run: Run,
) -> tuple[list[Change], list[Problem]]:
    """Install what was built, and keep what it replaces for `rollback`; what changed, and what
    could not be kept. GRUB sees the last of it when `settling` ends.
    """
    if not built:
        return [], []
    stand_ins = []
    reads_modules = config.modules is Modules.MINIMAL
    if reads_modules:
        stand_ins = [
            _stand_in(root, each, found, run)
            for each, status in built
            if _boots_from_directory(root, each, status)
        ]
    previous = [
        _previous(root, each, status) if config.keep_previous else None for each, status in built
    ]
    made, before = [each for each, _ in built], [status for _, status in built]
    changes = commit.install(
        root, made, before, settling, reads_modules=reads_modules, stand_ins=stand_ins
    )
    # Only now: an install that is refused, and a kill before this line, leave an older one, which
    # rollback can still put back.
    unkept = [
        problem
        for each, core in zip(made, previous, strict=True)
        if core
        for problem in _keep_previous(root, each, core)
    ]
    return changes, unkept


def _boots_from_directory(root: Root, built: Built, status: TargetStatus) -> bool:
    # What this software would refuse may boot all the same; only a file that is missing surely does
    # not.
    return status.state is not State.MISSING and commit.directory_differs(root, built)


def _stand_in(root: Root, built: Built, found: Survey, run: Run) -> Built:
    """A self-contained second stage of the same GRUB for the moment in which the module
    directory changes.
    """
    want = plan.Wanted(target=built.plan.target, required=built.plan.required)
    embedded = replace(found.config, modules=Modules.EMBEDDED)
    dependencies = evidence.dependencies(root, want.target)
    each = plan.make(
        want, found.status.guest, embedded, built.plan.boot, dependencies, built.plan.choices
    )
    return build(root, replace(each, is_asked=True), evidence.packaged(root, want.target), run=run)


def _previous(root: Root, built: Built, status: TargetStatus) -> bytes | None:
    """The second stage that is about to be replaced, where it is one that can boot."""
    before = evidence.find(root, status.path).data
    return before if before != built.core and status.state in (State.STALE, State.CURRENT) else None


def _keep_previous(root: Root, built: Built, core: bytes) -> tuple[Problem, ...]:
    """Keep `core`, which `built` has replaced, for a rollback; that it can't be kept stops no
    repair.
    """
    try:
        receipts.keep_previous(root, built.plan.target.name, core)
    except GuestHooksError as error:
        message = f"the second stage before this one was not kept for rollback: {error.message}"
        return (Problem.of(RunProblem.PREVIOUS_NOT_KEPT, message, step=error.hint),)
    return ()
