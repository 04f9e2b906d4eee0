# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync has to do: which targets to build, and which menus to make and why."""

from guest_hooks.errors import ForeignError
from guest_hooks.model import GrubCfgStatus, Severity, State, Why
from guest_hooks.problems.other_hosts import LegacyProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import dataclass
from guest_hooks.survey import menu_verdict
from guest_hooks.survey.observed import SurveyedTarget
from guest_hooks.survey.status import Survey
from guest_hooks.sync.result import Failure, Request, failure_of, is_held


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a sync has to do; `held` and `foreign` second stages are left alone."""

    targets: tuple[SurveyedTarget, ...]
    menu: tuple[Why, ...]
    legacy_menu: bool
    failures: tuple[Failure, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether no file is to be made."""
        return not (self.targets or self.menu or self.legacy_menu)


def decide(found: Survey, request: Request) -> Work:
    """Which targets to build, and whether grub.cfg is to be made again and why."""
    targets, failures = [], []
    for each in found.targets:
        status = each.status
        if status.is_accepted and not request.adopt:
            continue
        if status.state is State.FOREIGN and not request.adopt:
            problem = next(
                problem for problem in status.problems if problem.code == SecondStageProblem.FOREIGN
            )
            error = ForeignError(problem.message, hint=problem.hint, path=status.path)
            failures.append(failure_of(each.plan, error))
        elif (status.state is not State.CURRENT or request.force) and not (
            is_held(status) and request.automatic
        ):
            targets.append(each)
    menu: tuple[Why, ...] = ()
    if found.status.grub_cfg and request.update_grub and found.config.update_grub:
        menu = menu_verdict.reasons(found.status.grub_cfg)
        if found.status.grub_cfg.is_by_hand and not (request.adopt or request.force):
            menu = ()
            failures.append(_left_alone(found.status.grub_cfg))
    legacy = any(
        problem.code == LegacyProblem.MENU and problem.severity is Severity.ERROR
        for problem in found.status.problems
    )
    return Work(targets=tuple(targets), menu=menu, legacy_menu=legacy, failures=tuple(failures))


def _left_alone(menu: GrubCfgStatus) -> Failure:
    """That a person's menu is not replaced, whatever is wrong with it."""
    problem = menu.problems[0]
    error = ForeignError(problem.message, hint=problem.hint, path=menu.path)
    return Failure(name=menu.path, required=True, error=error)
