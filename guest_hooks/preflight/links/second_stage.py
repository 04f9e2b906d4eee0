"""What a second stage will do, told from the verdict on it. Pure.

The consoles are those of guests on Xen 4.17 with GRUB 2.06, 2.12 and 2.14.
"""

from dataclasses import dataclass

from guest_hooks.config import Modules, Stage1
from guest_hooks.model import BootFilesystem, Mode, Problem, Severity, State, TargetStatus
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.targets import HANDOVER, TARGETS

MISSING_HINT = "make it with: xen-guest-bootloader sync"


@dataclass(frozen=True, slots=True)
class _Effect:
    """What follows from a problem: the console's words, whether the boot ends there, how sure
    that is.
    """

    console: str
    stops: bool
    certainty: Certainty = Certainty.CERTAIN


_FALLS_BACK = _Effect("error: not xen image.", stops=False, certainty=Certainty.LIKELY)
_EFFECTS = {
    "missing": _Effect("error: no such device: {path}.", stops=False),
    "uuid-mismatch": _Effect("error: no such device: {uuid}.", stops=True),
    "prefix-mismatch": _Effect("grub>", stops=True, certainty=Certainty.LIKELY),
    "class-mismatch": _Effect("incompatible architecture", stops=False),
    "machine-mismatch": _Effect("incompatible architecture", stops=False),
    "pvh-image": _Effect("incompatible architecture", stops=False),
    "kernel-zeroed": _Effect("", stops=True),
    "module-block": _Effect("", stops=True, certainty=Certainty.LIKELY),
    "no-module-block": _Effect("", stops=True, certainty=Certainty.LIKELY),
    "stage-1-image": _Effect("Welcome to GRUB!", stops=True),
    "load-not-loadable": _Effect("", stops=True, certainty=Certainty.LIKELY),
    "entry-outside": _Effect("", stops=True, certainty=Certainty.LIKELY),
    "bridge-damaged": _Effect(
        "", stops=True, certainty=Certainty.LIKELY
    ),  # GRUB loads what is left of it
    "not-a-bridge": _Effect(
        "error: invalid magic number.", stops=False, certainty=Certainty.LIKELY
    ),
}
_HARMLESS_IF_EMBEDDED = (
    "module-dir-differs",
    "core-image-differs",
    "grub-differs",
    "modules-differ",
    "configuration-changed",
)
_MISMATCHED = _Effect("symbol `grub_", stops=True, certainty=Certainty.LIKELY)
_STANDS_BESIDE = _Effect("", stops=False)


def findings(target: TargetStatus, boot: BootFilesystem, modules: Modules) -> tuple[Finding, ...]:
    """What is wrong with this target's second stage, each with what it leads to."""
    return tuple(
        _finding(target, problem, boot, modules)
        for problem in target.problems
        if problem.code != "held-by-rollback"
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
            return any(_EFFECTS.get(problem.code, _FALLS_BACK).stops for problem in target.problems)


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
        Finding(
            code="second-stage-not-reached",
            link=Link.SECOND_STAGE,
            thing=target.path,
            message=(
                f"{target.path} is there, and grub.cfg does not hand over to it: stage 1 shows the"
                " menu itself"
            ),
            hint=f"let update-grub run {HANDOVER} (chmod +x), or set pvh_chainload = false",
            severity=Severity.WARNING,
            stops=False,
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
    effect = _effect(target, problem, boot, modules)
    severity = problem.severity if target.required else Severity.WARNING
    return Finding(
        code=f"second-stage-{problem.code.removeprefix('second-stage-')}",
        link=Link.SECOND_STAGE,
        thing=target.path,
        message=problem.message,
        console=effect.console.format(path=target.path, uuid=target.fs_uuid),
        certainty=effect.certainty,
        hint=problem.hint or MISSING_HINT,
        severity=severity,
        stops=effect.stops,
    )


def _effect(
    target: TargetStatus, problem: Problem, boot: BootFilesystem, modules: Modules
) -> _Effect:
    if problem.code == "modules-missing":
        named = problem.message.rpartition(":")[2]
        is_cut_off = any(
            module in named.replace(",", " ").split() for module in (*boot.modules, "normal")
        )
        return (
            _Effect("error: no such device", stops=True, certainty=Certainty.LIKELY)
            if is_cut_off
            else _STANDS_BESIDE
        )
    if problem.code in _HARMLESS_IF_EMBEDDED:
        is_mismatch = modules is Modules.MINIMAL and problem.code in (
            "module-dir-differs",
            "grub-differs",
            "modules-differ",
        )
        return _MISMATCHED if is_mismatch else _STANDS_BESIDE
    if problem.code == "missing" and TARGETS[target.target].mode is not Mode.PV:
        # No published stage 1 looks for it: the menu's snippet does, and goes on without it.
        return _STANDS_BESIDE
    if problem.code in _EFFECTS:
        return _EFFECTS[problem.code]
    return _FALLS_BACK if target.state is State.INVALID else _STANDS_BESIDE
