# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second stage will do, told from the verdict on it. Pure.

The consoles are those of guests on Xen 4.17 with GRUB 2.06, 2.12 and 2.14.
"""

from guest_hooks.config import Modules, Stage1
from guest_hooks.model import BootFilesystem, Mode, Problem, Severity, State, TargetStatus
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.problems.row import Effect, ProblemCode
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.targets import BOOT_XEN, HANDOVER, TARGETS

_ONLY_IF_IT_READS_MODULES = (
    SecondStageProblem.MODULE_DIR_DIFFERS,
    SecondStageProblem.GRUB_DIFFERS,
    SecondStageProblem.MODULES_DIFFER,
)
_MENU = "normal"
"""The module without which GRUB reads no menu."""


def findings(target: TargetStatus, boot: BootFilesystem, modules: Modules) -> tuple[Finding, ...]:
    """What is wrong with this target's second stage, each with what it leads to."""
    return tuple(
        _finding(target, problem, boot, modules)
        for problem in target.problems
        if problem.code != SecondStageProblem.HELD_BY_ROLLBACK
    )


def takes_over(target: TargetStatus, kind: Stage1, menu: str) -> bool:
    """Whether a stage 1 of `kind` starts this second stage, so that it, and not stage 1, reads
    grub.cfg, whose text is `menu`.
    """
    bridge = TARGETS[target.target].bridge
    if bridge:
        return _has_bridge(target) and (kind is Stage1.OWN or bridge in menu)
    match target.state:
        case State.CURRENT | State.STALE | State.FOREIGN | State.UNKNOWN:
            return True
        case State.MISSING:
            return False
        case State.INVALID:
            return any(problem.code.row.effect is Effect.ENDS for problem in target.problems)


def handover(target: TargetStatus, kind: Stage1, menu: str) -> str:
    """How a stage 1 of `kind` that reads the menu comes to this second stage, in words; empty
    where it looks for it itself, or does not come to it.
    """
    bridge = TARGETS[target.target].bridge
    if not bridge or kind is Stage1.OWN or not takes_over(target, kind, menu):
        return ""
    return f"the script at the top of grub.cfg starts the bridge {BOOT_XEN}/{bridge}"


def is_started(target: TargetStatus, kind: Stage1, menu: str) -> bool:
    """Whether a stage 1 of `kind` tries to start this file at all, whatever state it is in."""
    bridge = TARGETS[target.target].bridge
    return not bridge or kind is Stage1.OWN or bridge in menu


def unreached(target: TargetStatus, kind: Stage1, menu: str) -> tuple[Finding, ...]:
    """That a second stage is there and a stage 1 of `kind` will not come to it."""
    if (
        not TARGETS[target.target].bridge
        or not _has_bridge(target)
        or takes_over(target, kind, menu)
    ):
        return ()
    return (
        Finding.of(
            SecondStageProblem.NOT_REACHED,
            link=Link.SECOND_STAGE,
            thing=target.path,
            message=f"{target.path} is there, and grub.cfg does not hand over to it: stage 1 shows "
            "the menu itself",
            script=HANDOVER,
        ),
    )


def _has_bridge(target: TargetStatus) -> bool:
    """Whether GRUB can start the file that carries a PVH second stage; an older one serves as
    well.
    """
    name = TARGETS[target.target].bridge
    return any(
        file.path.endswith(f"/{name}") and file.state in (State.CURRENT, State.STALE)
        for file in target.files
    )


def _finding(
    target: TargetStatus, problem: Problem, boot: BootFilesystem, modules: Modules
) -> Finding:
    effect = _effect(target, problem.code, boot, modules)
    row = problem.code.row
    console = "" if effect is Effect.NONE else row.console
    return Finding(
        code=problem.code,
        link=Link.SECOND_STAGE,
        thing=target.path,
        message=problem.message,
        console=console.format(path=target.path, uuid=target.fs_uuid),
        certainty=Certainty.CERTAIN if effect is Effect.NONE else row.certainty,
        hint=problem.hint,
        severity=problem.severity if target.required else Severity.WARNING,
        stops=effect is Effect.ENDS,
    )


def _effect(
    target: TargetStatus, code: ProblemCode, boot: BootFilesystem, modules: Modules
) -> Effect:
    """What becomes of a boot by this second stage; never `Effect.MAY_END`."""
    match code:
        case SecondStageProblem.MODULES_MISSING:
            ends = not {*boot.modules, _MENU}.isdisjoint(target.lacking)
        case _ if code in _ONLY_IF_IT_READS_MODULES:
            ends = modules is Modules.MINIMAL
        case SecondStageProblem.MISSING if TARGETS[target.target].mode is not Mode.PV:
            # No published stage 1 looks for it: the menu's snippet does, and goes on without it.
            ends = False
        case _:
            return code.row.effect
    return Effect.ENDS if ends else Effect.NONE
