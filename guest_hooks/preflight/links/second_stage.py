# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second stage will do, told from the verdict on it. Pure.

The consoles are those of guests on Xen 4.17 with GRUB 2.06, 2.12 and 2.14.
"""

from collections.abc import Sequence

from guest_hooks.config import Modules, Stage1
from guest_hooks.formats import fs_features
from guest_hooks.formats.fs_features import Feature
from guest_hooks.model import BootFilesystem, Mode, Problem, Severity, State, TargetStatus
from guest_hooks.paths import BOOT_XEN
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.problems.boot import BootFsProblem
from guest_hooks.problems.row import Effect, ProblemCode
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import replace
from guest_hooks.targets import HANDOVER, TARGETS

_ONLY_IF_IT_READS_MODULES = (
    SecondStageProblem.MODULE_DIR_DIFFERS,
    SecondStageProblem.GRUB_DIFFERS,
    SecondStageProblem.MODULES_DIFFER,
)
_OF_ANOTHER_GRUB = (SecondStageProblem.GRUB_DIFFERS, SecondStageProblem.MODULES_DIFFER)
_MENU = "normal"
"""The module of the menu, by which GRUB loads all others: a second stage as grub-install alone
makes it has it in /boot/grub/<target>.
"""
_PARTITION_MAP = "part_"
_SAYS_NOTHING_OF_THE_BOOT = (SecondStageProblem.HELD_BY_ROLLBACK, SecondStageProblem.KEPT)


def findings(
    target: TargetStatus, boot: BootFilesystem, modules: Modules, features: Sequence[Feature] = ()
) -> tuple[Finding, ...]:
    """What is wrong with this target's second stage, each with what it leads to; `features` are
    those of /boot's file systems that not every GRUB reads.
    """
    return (
        *(
            _finding(target, problem, boot, modules)
            for problem in target.problems
            if problem.code not in _SAYS_NOTHING_OF_THE_BOOT
        ),
        *_blind(target, boot, features),
    )


def text(target: TargetStatus) -> str:
    """The file and its state, as a step of the chain."""
    where = f", looks for {target.fs_uuid}" if target.fs_uuid else ""
    return f"{target.path} ({target.target}): {target.state}{where}"


def _blind(
    target: TargetStatus, boot: BootFilesystem, features: Sequence[Feature]
) -> tuple[Finding, ...]:
    """That the GRUB which made this second stage can't read /boot, where the installed one can."""
    unread = _unread(target, features)
    if not unread or boot.unreadable is not None:
        return ()
    names = ", ".join(feature.name for feature in unread)
    found = Finding.of(
        BootFsProblem.UNREADABLE,
        link=Link.SECOND_STAGE,
        thing=target.path,
        message=f"{target.path} is of GRUB {target.grub_version}, which can't read"
        f" {boot.device}, the file system of /boot ({boot.fs_type} with {names})",
        step="put a newer one there: xen-guest-bootloader sync",
    )
    return (found if target.required else replace(found, severity=Severity.WARNING),)


def reads(target: TargetStatus, features: Sequence[Feature]) -> bool:
    """Whether the GRUB of this second stage is known to read a file system with `features`."""
    return bool(target.grub_version) and not _unread(target, features)


def _unread(target: TargetStatus, features: Sequence[Feature]) -> tuple[Feature, ...]:
    known = [feature for feature in features if feature.is_known]
    return fs_features.unreadable(known, target.grub_version) if target.grub_version else ()


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
    if problem.code is SecondStageProblem.MODULES_MISSING and not _cannot_read(target, boot):
        console = console and f"{_MENU}.mod' not found."
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
        actor=row.actor,
    )


def _effect(
    target: TargetStatus, code: ProblemCode, boot: BootFilesystem, modules: Modules
) -> Effect:
    """What becomes of a boot by this second stage; never `Effect.MAY_END`."""
    match code:
        case SecondStageProblem.MODULES_MISSING:
            ends = _cannot_read(target, boot) or _MENU in target.lost
        case _ if code in _ONLY_IF_IT_READS_MODULES:
            ends = modules is Modules.MINIMAL or _is_amid_another_grub(target)
        case SecondStageProblem.MISSING if TARGETS[target.target].mode is not Mode.PV:
            # No published stage 1 looks for it: the menu's snippet does, and goes on without it.
            ends = False
        case _:
            return code.row.effect
    return Effect.ENDS if ends else Effect.NONE


def _cannot_read(target: TargetStatus, boot: BootFilesystem) -> bool:
    """Whether the second stage lacks what it needs to read /boot/grub; of several partition maps
    one is that, and which is not always known.
    """
    maps = {name for name in boot.modules if name.startswith(_PARTITION_MAP)}
    lacking = frozenset(target.lacking)
    return bool((set(boot.modules) - maps) & lacking) or bool(maps and maps <= lacking)


def _is_amid_another_grub(target: TargetStatus) -> bool:
    """Whether the second stage loads the menu from a /boot/grub/<target> of another GRUB: of the
    two one is the installed GRUB's, and one is not.
    """
    codes = {problem.code for problem in target.problems}
    is_of_another = not codes.isdisjoint(_OF_ANOTHER_GRUB)
    has_others = SecondStageProblem.MODULE_DIR_DIFFERS in codes
    return _MENU in target.lacking and is_of_another is not has_others
