# SPDX-License-Identifier: GPL-3.0-or-later
"""Put back the second stage before the present one, and keep automatic runs from replacing it."""

import os
from collections.abc import Sequence

from guest_hooks.config import Config, Modules
from guest_hooks.errors import FormatError, LackingError, NotRepairedError
from guest_hooks.formats import second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import disks, lock, receipts
from guest_hooks.machine.receipts import TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Change, Problem, Reason, State
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.program import PROGRAM
from guest_hooks.records import replace
from guest_hooks.survey import verdict
from guest_hooks.survey.observed import Found, SurveyedTarget
from guest_hooks.survey.plan import MINIMAL, FileKind, Plan, content
from guest_hooks.survey.status import Survey, require, survey
from guest_hooks.sync import commit, delta, safeguard, second_stages
from guest_hooks.sync.build import Built
from guest_hooks.sync.result import Result

OTHER_MODULES = frozenset(
    (
        SecondStageProblem.GRUB_DIFFERS,
        SecondStageProblem.MODULES_DIFFER,
        SecondStageProblem.MODULE_DIR_DIFFERS,
    )
)
"""What tells that an older second stage must not load a module from /boot/grub/<target>."""
OF_ANOTHER_PROGRAM = frozenset((SecondStageProblem.FOREIGN, SecondStageProblem.COPY_DIFFERS))
"""What is found of an image that grub-install did not make; what its copies hold, is not judged."""
HARMLESS = OTHER_MODULES | {
    SecondStageProblem.CORE_IMAGE_DIFFERS,
    SecondStageProblem.CONFIGURATION_CHANGED,
    SecondStageProblem.HELD_BY_ROLLBACK,
}
"""How it may differ from the newest and still boot, as long as all it needs is inside."""

MENU = ("normal", "linux")
"""What every self-contained second stage holds, and one that reads modules from /boot does not."""


def rollback(
    root: Root,
    config: Config,
    targets: Sequence[str] = (),
    *,
    lock_timeout: float = 60.0,
) -> Result:
    """Exchange the installed second stage of each target with the one before it; a second
    rollback exchanges them again.

    Raises `NotRepairedError` where none was kept or the kept one could not boot; then nothing was
    changed.
    """
    require(root, config, targets)
    if os.geteuid() != 0:
        raise LackingError(
            "rollback must be run as root", hint="sudo xen-guest-bootloader rollback"
        )
    with lock.held(root, timeout=lock_timeout):
        # Judged as if all had to be inside, whatever is configured: `_checked` asks whether a kept
        # one needs modules from /boot.
        found = survey(root, replace(config, modules=Modules.EMBEDDED), targets=targets)
        disks.require_writable(root)
        commit.sweep(root)
        previous = _chosen(root, found, targets)
        for each in previous:
            against = safeguard.replacement(root, found, each)
            _require(each, [finding.message for finding in against])
        put = [_put_back(root, each) for each in previous]
        unsure = (problem for _, problems in put for problem in problems)
        warnings = dict.fromkeys((*unsure, *_remember(root, previous)))
        after = survey(root, config, targets=targets, known=found)
        status = replace(after.status, problems=(*after.status.problems, *warnings))
        return Result(
            before=found.status,
            status=status,
            changes=tuple(change for changes, _ in put for change in changes),
        )


def _chosen(root: Root, found: Survey, targets: Sequence[str]) -> list[Built]:
    """What was kept for each target, checked; of targets that nobody named, for those that have
    one.
    """
    kept = [(each, receipts.load_previous(root, each.name)) for each in found.targets]
    chosen = [(each, core) for each, core in kept if core is not None or targets]
    if not chosen:
        raise NotRepairedError(
            "no second stage before the present one was kept",
            hint="one is kept whenever a sync replaces one by which the guest can boot",
        )
    return [_checked(each, core) for each, core in chosen]


def _remember(root: Root, previous: Sequence[Built]) -> tuple[Problem, ...]:
    """Write down which targets are held at what was put back; returns what could not be."""
    receipt = receipts.load(root)
    held = {
        each.there.name: _held(receipt.target(each.there.name), each.core)
        for each in previous
        if _present(each) != each.core
    }
    return receipts.save(root, replace(receipt, targets={**receipt.targets, **held}))


def _held(remembered: TargetReceipt, core: bytes) -> TargetReceipt:
    """The receipt of a target whose second stage is `core` now: held, unless it is the newest."""
    put = sha256(core)
    return replace(remembered, held_sha256="" if put == remembered.core_sha256 else put)


def _checked(there: SurveyedTarget, core: bytes | None) -> Built:
    """The files of `core`, a second stage that was kept, if it can still boot this guest."""
    if core is None:
        raise NotRepairedError(
            f"no second stage for {there.name} before the present one was kept",
            hint=f"see what was kept: {PROGRAM} rollback --list",
        )
    plan = replace(there.plan, modules=_needed(there.plan, core))
    files = {
        file.path: content(file, core) for file in plan.files if file.kind is not FileKind.UNWANTED
    }
    found = {file.path: Found() for file in plan.files}
    found |= {path: Found(data=data, sha256=sha256(data)) for path, data in files.items()}
    kept = verdict.judge(plan, replace(there.evidence, found=found))
    codes = {problem.code for problem in kept.problems}
    harmless = (
        HARMLESS if codes & OTHER_MODULES else HARMLESS | {SecondStageProblem.MODULES_MISSING}
    )
    if kept.state is State.FOREIGN:
        harmless = OF_ANOTHER_PROGRAM | {SecondStageProblem.HELD_BY_ROLLBACK}
    faults = [problem.message for problem in kept.problems if problem.code not in harmless]
    there = replace(there, plan=plan)
    made = Built(there=there, status=kept, core=core, files=files, module_files=None)
    is_fit = kept.state in second_stages.KEPT
    _require(made, faults if is_fit else faults or [str(kept.state)])
    return made


def _require(made: Built, faults: Sequence[str]) -> None:
    if faults:
        raise NotRepairedError(
            f"the second stage for {made.there.name} that was kept could not boot this guest:"
            f" {'; '.join(faults)}",
            hint="make a new one with: xen-guest-bootloader sync --force",
        )


def _needed(plan: Plan, core: bytes) -> frozenset[str]:
    """What `core` must hold to boot by itself: what its own modules need, for another GRUB's
    have other names and needs.
    """
    try:
        inside = second_stage.read(core).core
    except FormatError:
        return plan.modules  # the verdict says what is wrong
    modules = inside.modules if inside else ()
    return frozenset(
        (
            *MENU,
            *MINIMAL,
            *plan.boot.modules,
            *(need for module in modules for need in module.needs),
        )
    )


def _present(previous: Built) -> bytes | None:
    """The core image that `previous` is to replace."""
    return previous.there.evidence.found[previous.plan.files[0].path].data


def _put_back(root: Root, previous: Built) -> tuple[list[Change], tuple[Problem, ...]]:
    """Install what was kept, and keep what it replaces; what changed, and what could not be
    made sure of.
    """
    present, state = _present(previous), previous.there.status.state
    difference = delta.of([previous])
    settling = Settling(root)
    commit.install(root, difference, settling)
    settling.finish()
    if present not in (None, previous.core) and state in second_stages.KEPT:
        receipts.keep_previous(root, previous.there.name, present)
    changes = [replace(change, why=(Reason.ROLLBACK,)) for change in difference.changes]
    return changes, settling.problems
