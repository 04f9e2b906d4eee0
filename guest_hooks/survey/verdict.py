# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there against what should be: a verdict for one target, with every reason. Pure."""

import re
from collections.abc import Iterator, Sequence

from guest_hooks.errors import FormatError
from guest_hooks.formats import pvh_bridge, second_stage
from guest_hooks.formats.grub_core import Core
from guest_hooks.formats.second_stage import SecondStage
from guest_hooks.model import FileStatus, Problem, State, TargetStatus
from guest_hooks.problems.images import ImageProblem
from guest_hooks.problems.row import Effect, ProblemCode
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.program import SYNC
from guest_hooks.records import dataclass, replace
from guest_hooks.survey.observed import Evidence, Found, Packaged
from guest_hooks.survey.plan import FileKind, Plan, PlannedFile, content

_CONFIG_PREFIX = re.compile(r"^set prefix=\(\$root\)'(.*)'$", re.MULTILINE)
_ADOPT = f"take the newest again with: {SYNC} --adopt"
MOST_NAMES = 5
NOT_KNOWN = (
    "the UUID of /boot's file system could not be read, so whether {path} looks for it is not known"
)
FATAL_PROBLEMS = frozenset(code for code in SecondStageProblem if code.row.effect is Effect.ENDS)
"""What a second stage that is well in itself can't boot with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    state: State
    problem: Problem


def judge(plan: Plan, evidence: Evidence) -> TargetStatus:
    """The verdict for one target: its files in the plan's order, all problems, its state."""
    first, *others = plan.files
    main = evidence.found[first.path]
    stage = _read(main.data)
    findings = {first.path: list(_core_findings(plan, first.path, evidence, stage))}
    whole = (
        main.data
        if _worst(findings[first.path]) in (State.CURRENT, State.UNKNOWN, State.STALE)
        else None
    )
    for file in others:
        findings[file.path] = list(_other_findings(plan, file, evidence.found[file.path], whole))
    files = tuple(
        FileStatus(
            path=file.path,
            state=_worst(findings[file.path]),
            sha256=evidence.found[file.path].sha256,
            size=len(evidence.found[file.path].data or b""),
        )
        for file in plan.files
        if file.kind is not FileKind.UNWANTED or findings[file.path]
    )
    core = stage.core if stage else None
    state = _overall(files)
    is_put_back = state is State.FOREIGN and evidence.is_held(main.sha256)
    is_accepted = is_put_back or (state is State.FOREIGN and plan.accepts_foreign)
    problems = [finding.problem for file in plan.files for finding in findings[file.path]]
    if is_accepted:
        problems = [replace(_held(first.path).problem, hint=_ADOPT)] if is_put_back else []
    lacking = _lacking(plan, core) if core else ()
    return TargetStatus(
        target=plan.target.name,
        required=plan.required,
        state=state,
        files=files,
        prefix=_prefix(stage),
        fs_uuid=core.fs_uuid if core else "",
        modules=len(core.modules) if core else 0,
        grub_version=_version(stage, evidence.packaged) if stage else "",
        problems=tuple(problems),
        is_accepted=is_accepted,
        checks_signatures=bool(core and core.checks_signatures),
        lacking=lacking,
        lost=tuple(name for name in lacking if f"{name}.mod" in evidence.module_dir.missing),
    )


def _core_findings(
    plan: Plan, path: str, evidence: Evidence, stage: SecondStage | None
) -> Iterator[_Finding]:
    """Everything about the file of the protocol itself, and what surrounds it."""
    unfit = list(_unfit(plan, path, evidence.found[path]))
    yield from unfit
    if unfit or stage is None:
        return
    stale = list(_stale(plan, path, stage, evidence))
    yield from stale
    yield from _surroundings(plan, stage, evidence)
    is_fatal = any(finding.problem.code in FATAL_PROBLEMS for finding in stale)
    # A clone brings its original's receipt.
    if evidence.is_held(stage.sha256) and not is_fatal:
        yield _held(path)


def _held(path: str) -> _Finding:
    message = f"{path} was put back by rollback; automatic runs leave it alone"
    return _finding(SecondStageProblem.HELD_BY_ROLLBACK, message)


def _unfit(plan: Plan, path: str, found: Found) -> Iterator[_Finding]:
    """Why the file may not be a second stage of this target at all."""
    if found.unread:
        yield _finding(SecondStageProblem.UNREADABLE, found.unread)
    elif found.data is None:
        yield _finding(SecondStageProblem.MISSING, f"{path} is missing")
    else:
        if _is_foreign(plan, found.data):
            message = f"{path} is a valid Xen image that grub-install did not make"
            yield _finding(SecondStageProblem.FOREIGN, message)
            return
        for problem in second_stage.problems(found.data, plan.target):
            yield _finding(problem.code, f"{path}: {problem.message}")


def _is_foreign(plan: Plan, data: bytes) -> bool:
    if second_stage.problems(data, plan.target):
        return second_stage.is_another_program(data, plan.target)
    return not second_stage.is_from_grub_install(second_stage.read(data))


def _stale(plan: Plan, path: str, stage: SecondStage, evidence: Evidence) -> Iterator[_Finding]:
    """How the core image differs from the one that would be made now."""
    packaged, core = evidence.packaged, stage.core
    if core is None:
        return
    yield from _misled(plan, path, stage)
    if packaged.kernel_sha256 and stage.kernel_sha256 != packaged.kernel_sha256:
        version = f"GRUB {stage.grub_version}" if stage.grub_version else "another GRUB"
        yield _finding(
            SecondStageProblem.GRUB_DIFFERS,
            f"{path} was made by {version}; installed is {packaged.version or 'another build'}",
        )
    elif packaged.modules:
        differing = sorted(m.name for m in core.modules if packaged.modules.get(m.name) != m.sha256)
        if differing:
            yield _finding(
                SecondStageProblem.MODULES_DIFFER,
                f"{path} holds other modules than {plan.target.lib_dir}: {_names(differing)}",
            )
    missing = _lacking(plan, core)
    if missing:
        yield _finding(
            SecondStageProblem.MODULES_MISSING,
            f"{path} lacks modules it may need to boot: {_names(missing)}",
        )
    elif (
        packaged.modules  # without the package nobody knows what would be asked for
        and stage.sha256 == evidence.remembered.core_sha256
        and plan.request != evidence.remembered.request
    ):
        yield _finding(
            SecondStageProblem.CONFIGURATION_CHANGED,
            f"{path} was made when the configuration asked for other modules",
        )
    if plan.is_asked and (core.public_keys, core.has_cli) != (
        plan.choices.public_keys,
        plan.choices.has_cli,
    ):
        yield _finding(
            SecondStageProblem.CHOICES_DIFFER,
            f"{path} was made with other options than this grub-install's",
        )


def _lacking(plan: Plan, core: Core) -> tuple[str, ...]:
    """The modules that the core image should hold and does not."""
    return tuple(sorted(plan.modules - {module.name for module in core.modules}))


def _misled(plan: Plan, path: str, stage: SecondStage) -> Iterator[_Finding]:
    """How what the core image looks for differs from where /boot/grub is."""
    boot, core = plan.boot, stage.core
    if core is None:
        return
    if not boot.is_known:
        yield _finding(SecondStageProblem.BOOT_NOT_KNOWN, NOT_KNOWN.format(path=path))
    uuid = boot.grub_place.fs_uuid
    if uuid and not boot.drive and core.fs_uuid != uuid:
        yield _finding(
            SecondStageProblem.UUID_MISMATCH,
            f"{path} looks for file system {core.fs_uuid or core.prefix}; /boot/grub is on {uuid}",
        )
    expected = boot.drive + boot.grub_dir if boot.drive else boot.grub_dir
    if uuid and _path_part(stage, with_drive=bool(boot.drive)) != expected:
        yield _finding(
            SecondStageProblem.PREFIX_MISMATCH,
            f"{path} looks for its modules in {_prefix(stage)}, which is not {expected}",
        )


def _surroundings(plan: Plan, stage: SecondStage, evidence: Evidence) -> Iterator[_Finding]:
    """How /boot/grub/<target> differs from what this core image and a grub.cfg may load from it."""
    where = plan.target.grub_dir
    odd = [*evidence.module_dir.missing, *evidence.module_dir.differing]
    if odd and evidence.packaged.modules:
        yield _finding(
            SecondStageProblem.MODULE_DIR_DIFFERS,
            f"{where} differs from {plan.target.lib_dir}: {_names(odd)}",
        )
    if evidence.module_dir.core_sha256 != stage.sha256:
        yield _finding(
            SecondStageProblem.CORE_IMAGE_DIFFERS,
            f"{where}/core.elf is not the image that is installed",
        )


def _other_findings(
    plan: Plan, file: PlannedFile, found: Found, core: bytes | None
) -> Iterator[_Finding]:
    """About a file that is a function of the core image; `core` is None where that must be made
    again anyway.
    """
    if file.kind is FileKind.UNWANTED:
        if found.data is not None and pvh_bridge.is_bridge(found.data):
            yield _finding(
                SecondStageProblem.BRIDGE_UNWANTED,
                f"{file.path} is there, and the configuration says pvh_chainload = false",
            )
        return
    if file.kind is FileKind.CORE or found.data is None:
        unfit = list(_unfit(plan, file.path, found))
        yield from unfit
        if unfit or found.data is None:
            return
    elif not pvh_bridge.is_bridge(found.data):
        yield _finding(ImageProblem.NOT_A_BRIDGE, f"{file.path} is not a bridged core image")
        return
    if core is not None and found.data == content(file, core):
        return
    damage = pvh_bridge.damage(found.data) if file.kind is FileKind.BRIDGE else None
    if damage is not None:
        yield _finding(damage.code, f"{file.path}: {damage.message}")
    elif core is not None:
        yield _finding(
            SecondStageProblem.COPY_DIFFERS, f"{file.path} does not belong to {plan.files[0].path}"
        )
    else:
        yield _finding(
            SecondStageProblem.COPY_DIFFERS,
            f"{file.path} belongs to a core image that is not installed",
        )


def _read(data: bytes | None) -> SecondStage | None:
    if data is None:
        return None
    try:
        return second_stage.read(data)
    except FormatError:
        return None  # `_unfit` says why


def _version(stage: SecondStage, packaged: Packaged) -> str:
    """The version it was made with; an image without normal.mod does not tell, but its kernel
    can be the package's.
    """
    is_packaged = stage.kernel_sha256 == packaged.kernel_sha256
    return stage.grub_version or (packaged.version if is_packaged else "")


def _prefix(stage: SecondStage | None) -> str:
    """The prefix as GRUB will have it, `($root)/boot/grub` or `(drive)/path`."""
    if stage is None or stage.core is None:
        return ""
    found = _CONFIG_PREFIX.search(stage.core.config)
    return f"($root){found[1]}" if found else stage.core.prefix


def _path_part(stage: SecondStage, *, with_drive: bool) -> str:
    prefix = _prefix(stage)
    return prefix if with_drive else prefix.partition(")")[2]


def _overall(files: tuple[FileStatus, ...]) -> State:
    states = [file.state for file in files]
    if State.FOREIGN in states:
        return State.FOREIGN
    if states[0] is not State.CURRENT:
        return states[0]
    return State.STALE if any(state is not State.CURRENT for state in states) else State.CURRENT


def _worst(findings: list[_Finding]) -> State:
    order = (State.CURRENT, State.UNKNOWN, State.STALE, State.MISSING, State.FOREIGN, State.INVALID)
    return max((finding.state for finding in findings), key=order.index, default=State.CURRENT)


def _finding(code: ProblemCode, message: str) -> _Finding:
    return _Finding(state=code.state, problem=Problem.of(code, message))


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown
