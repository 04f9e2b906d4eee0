# SPDX-License-Identifier: GPL-3.0-or-later
"""Next steps as commands that work where this run was called: with its tree, targets and
configuration.
"""

import re
import shlex

from guest_hooks.errors import GuestHooksError
from guest_hooks.model import Problem, Status
from guest_hooks.preflight.result import Finding, Preflight
from guest_hooks.problems.row import Actor
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.program import PROGRAM, SYNC, UNHOLD
from guest_hooks.records import dataclass, replace

_COMMAND = re.compile(rf"\b{PROGRAM} (?:status|sync|preflight|rollback)\b(?! --root\b)")
"""The verbs that take all of `Given`; a command for another tree is whole as it is."""
_LACKING = (SecondStageProblem.GRUB_NOT_INSTALLED, SecondStageProblem.GRUB_HALF_INSTALLED)
_UNHOLD = re.compile(rf"\b{UNHOLD}\b(?! --root\b)")
_CONFIGURATION = re.compile(r">(/etc/xen-guest-bootloader/\S+)(?<!;)")
"""A file of the guest's that a command writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a run was given; `root` is empty for the running system, `config` for its own files.

    `before_sync` is a command without which a sync would not look after these targets.
    """

    root: str = ""
    targets: tuple[str, ...] = ()
    config: str = ""
    before_sync: str = ""

    @property
    def options(self) -> str:
        """The options that give another run the same."""
        words = [f"--root {shlex.quote(self.root)}"] if self.root else []
        words += [f"--target {shlex.quote(target)}" for target in self.targets]
        words += [f"--config {shlex.quote(self.config)}"] if self.config else []
        return " ".join(words)

    def step(self, hint: str, actor: Actor = Actor.HERE) -> str:
        """`hint` with these options in each command of this program's; what is done inside the
        guest says so where the guest is another machine.
        """
        if self.options:
            hint = _COMMAND.sub(lambda found: f"{found[0]} {self.options}", hint)
        if self.root:
            hint = _UNHOLD.sub(lambda found: f"{found[0]} --root {shlex.quote(self.root)}", hint)
            hint = _CONFIGURATION.sub(lambda found: f">{self._outside(found[1])}", hint)
        if self.before_sync:
            hint = hint.replace(SYNC, f"{self.before_sync} && {SYNC}", 1)
        is_elsewhere = bool(self.root and hint) and actor is Actor.GUEST
        return f"inside the guest: {hint}" if is_elsewhere else hint

    def _outside(self, path: str) -> str:
        return shlex.quote(f"{self.root.rstrip('/')}{path}")

    def with_package(self, status: Status) -> "Given":
        """The same for the running system where a sync would lack GRUB's package first."""
        lacking = next((each for each in status.problems if each.code in _LACKING), None)
        if self.root or self.before_sync or lacking is None:
            return self
        return replace(self, before_sync=lacking.hint)

    def problems(self, found: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """The same problems with the steps for this run."""
        return tuple(replace(each, hint=self.step(each.hint, each.actor)) for each in found)

    def status(self, status: Status) -> Status:
        """The same status with the steps for this run."""
        menu = status.grub_cfg
        return replace(
            status,
            targets=tuple(
                replace(each, problems=self.problems(each.problems)) for each in status.targets
            ),
            grub_cfg=replace(menu, problems=self.problems(menu.problems)) if menu else None,
            problems=self.problems(status.problems),
        )

    def preflight(self, answer: Preflight) -> Preflight:
        """The same answer with the steps for this run."""
        return replace(answer, findings=tuple(self.finding(each) for each in answer.findings))

    def finding(self, found: Finding) -> Finding:
        """The same finding with the step for this run."""
        return replace(found, hint=self.step(found.hint, found.actor))

    def error(self, error: GuestHooksError) -> None:
        """Make the step of `error` one for this run."""
        error.hint = self.step(error.hint)
