# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the second stages of all targets, and installing them together."""

from collections.abc import Sequence

from guest_hooks.config import Config, Modules
from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import receipts
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Problem, State
from guest_hooks.problems.runs import RunProblem
from guest_hooks.records import replace
from guest_hooks.survey import evidence, plan
from guest_hooks.survey.observed import SurveyedTarget
from guest_hooks.survey.status import Survey
from guest_hooks.sync import commit, delta, safeguard
from guest_hooks.sync.build import Built, build
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Done, Failure, Request, failure_of

KEPT = (State.CURRENT, State.STALE, State.FOREIGN)
"""The states of a second stage that is kept for `rollback` when another takes its place."""


def build_all(
    root: Root,
    found: Survey,
    targets: Sequence[SurveyedTarget],
    request: Request,
    step: Step,
) -> tuple[list[Built], tuple[Failure, ...]]:
    """Build what `targets` need, beside the live files; what fails for one does not keep the
    others from being built.
    """
    built: list[Built] = []
    failures: list[Failure] = []
    for each in targets:
        try:
            with step(f"Building the second stage for {each.name}"):
                if not request.force:
                    safeguard.second_stage(root, found, each)
                made = build(root, each, rebuild=request.force)
                if not request.force:
                    safeguard.require_replacement(root, found, made)
                built.append(made)
        except GuestHooksError as error:
            failures.append(failure_of(each.plan, error))
    return built, tuple(failures)


def install(
    root: Root,
    config: Config,
    found: Survey,
    built: Sequence[Built],
    settling: Settling,
) -> Done:
    """Install what was built, and keep what it replaces for `rollback`; unsure is what could not
    be kept. GRUB sees the last of it when `settling` ends.
    """
    if not built:
        return Done()
    difference = delta.of(built)
    reads_modules = config.modules is Modules.MINIMAL
    stand_ins = (
        [
            _stand_in(root, each, found)
            for each in difference.directories
            # What this software would refuse may boot all the same; only a file that is missing
            # surely does not.
            if each.there.status.state is not State.MISSING
        ]
        if reads_modules
        else []
    )
    commit.install(root, difference, settling, reads_modules=reads_modules, stand_ins=stand_ins)
    # Only now: an install that is refused, and a kill before this line, leave an older one, which
    # rollback can still put back.
    unkept = tuple(
        problem
        for each in built
        if config.keep_previous and (core := _previous(each))
        for problem in _keep_previous(root, each, core)
    )
    return Done(changes=difference.changes, unsure=unkept)


def _stand_in(root: Root, built: Built, found: Survey) -> Built:
    """A self-contained second stage of the same GRUB for the moment in which the module
    directory changes.
    """
    want = plan.Wanted(target=built.plan.target, required=built.plan.required)
    embedded = replace(found.config, modules=Modules.EMBEDDED)
    dependencies = evidence.dependencies(built.there.evidence.package)
    each = plan.make(
        want, found.status.guest, embedded, built.plan.boot, dependencies, built.plan.choices
    )
    return build(root, replace(built.there, plan=replace(each, is_asked=True)))


def _previous(built: Built) -> bytes | None:
    """The second stage that is replaced, where it is one that can boot."""
    status = built.there.status
    before = built.there.evidence.found[status.path].data
    return before if before != built.core and status.state in KEPT else None


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
