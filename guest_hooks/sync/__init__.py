"""Make it so: build what is not as it should be, verify, commit, renew grub.cfg, and remember
it.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace

from guest_hooks.config import Config, Modules
from guest_hooks.errors import ExitCode, GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine import disks, receipts, staging
from guest_hooks.machine.receipts import Receipt, TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import Change, Choices, Problem, Severity, State, Status, TargetStatus
from guest_hooks.survey import evidence, grub_config, legacy_menu, plan
from guest_hooks.survey.plan import Plan
from guest_hooks.survey.status import Survey, require, survey
from guest_hooks.survey.verdict import SYNC
from guest_hooks.sync import commit, menus, packages, safeguard, unchanged
from guest_hooks.sync.build import Built, build, foresee
from guest_hooks.sync.menus import Step


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
    """

    before: Status
    status: Status
    changes: tuple[Change, ...] = ()
    failures: tuple[GuestHooksError, ...] = ()
    repeated: tuple[GuestHooksError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What kept `name`, a target or a file, from being as it should be."""

    name: str
    required: bool
    error: GuestHooksError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a sync has to do; `held` and `foreign` second stages are left alone."""

    targets: tuple[tuple[Plan, TargetStatus], ...]
    menu: tuple[str, ...]
    legacy_menu: bool
    failures: tuple[_Failure, ...]


def sync(
    root: Root, config: Config, request: Request, *, step: Step = nullcontext, run: Run = run
) -> Result:
    """Bring every target and grub.cfg to what they should be.

    Raises `NotApplicableError` where there is no target, `LackingError` where something outside is
    missing, `LockedError`. What fails for one target does not keep the others from being done; it
    is in the result's `failures`.
    """
    if request.dry_run:
        found = survey(root, config, targets=request.targets, asked=request.choices, run=run)
        work = _work(found, request)
        foretold, failures = _foretold(root, found, work, request, step, run)
        return _result(found, found, foretold, (*work.failures, *failures), ())
    require(root, config, request.targets)
    if os.geteuid() != 0:
        raise LackingError("sync must be run as root", hint=f"sudo {SYNC}")
    with packages.held(
        root,
        waits=request.waits_for_packages,
        is_asked_for=not request.automatic,
        lock_timeout=request.lock_timeout,
        run=run,
    ) as unsettled:
        with step("Looking at what is there"):
            found = survey(root, config, targets=request.targets, asked=request.choices, run=run)
        work = _work(found, request)
        if not work.targets and not work.menu and not work.legacy_menu:
            with suppress(
                GuestHooksError
            ):  # what a killed run left takes room, and no more than that
                commit.sweep(root)
            unchanged.remember(root, found, request.targets)
            return _result(found, found, (), work.failures, unsettled)
        disks.require_writable(root)
        with step("Removing what an earlier run left"):
            commit.sweep(root)
        built, failures = _build_all(root, found, work.targets, request, step, run)
        with step("Writing to the disk"):
            changes, warnings = _install(root, config, found, built, run)
        judged = (
            None
            if request.force
            else safeguard.with_installed(found.status, [each for each, _ in built])
        )
        made = menus.renew(
            root,
            found,
            judged,
            menus.Wanted(grub_cfg=work.menu, menu_lst=work.legacy_menu),
            step=step,
            run=run,
        )
        failures += [
            _Failure(name=path, required=True, error=error) for path, error in made.failures
        ]
        earlier = receipts.load(root)
        unnoted = receipts.save(root, _receipt(earlier, built, failures, made.changes))
        after = survey(root, config, targets=request.targets, boot=found.status.boot, run=run)
        failures += _as_before(root, after) if work.menu and not failures else ()
        unchanged.remember(root, after, request.targets)
        unsure = (*unsettled, *warnings, *made.unsure, *unnoted)
        result = _result(
            found, after, (*changes, *made.changes), (*work.failures, *failures), unsure
        )
        return replace(
            result,
            repeated=tuple(each for each in result.failures if safeguard.is_known(earlier, each)),
        )


def exit_code(result: Result, request: Request, config: Config) -> ExitCode:
    """What a run that ended with `result` exits with."""
    if request.dry_run:
        return ExitCode.DIFFERS if result.changes or result.failures else ExitCode.OK
    if result.failures:
        return result.failures[0].exit_code
    targets = [
        status for status in result.status.targets if status.required and not _is_held(status)
    ]
    menu = result.status.grub_cfg if request.update_grub and config.update_grub else None
    states = [status.state for status in targets] + ([menu.state] if menu else [])
    return ExitCode.OK if all(state is State.CURRENT for state in states) else ExitCode.NOT_REPAIRED


def _is_held(status: TargetStatus) -> bool:
    return any(problem.code == "held-by-rollback" for problem in status.problems)


def _work(found: Survey, request: Request) -> _Work:
    """Which targets to build, and whether grub.cfg is to be made anew and why."""
    targets, failures = [], []
    for each, status in zip(found.plans, found.status.targets, strict=True):
        if status.state is State.FOREIGN and not request.adopt:
            problem = next(problem for problem in status.problems if problem.code == "foreign")
            failures.append(_failure(each, NotRepairedError(problem.message, hint=problem.hint)))
        elif (status.state is not State.CURRENT or request.force) and not (
            _is_held(status) and request.automatic
        ):
            targets.append((each, status))
    menu: tuple[str, ...] = ()
    if found.status.grub_cfg and request.update_grub and found.config.update_grub:
        menu = grub_config.reasons(found.status.grub_cfg)
    legacy = any(
        problem.code == legacy_menu.CODE and problem.severity is Severity.ERROR
        for problem in found.status.problems
    )
    return _Work(targets=tuple(targets), menu=menu, legacy_menu=legacy, failures=tuple(failures))


def _build_all(
    root: Root,
    found: Survey,
    targets: Sequence[tuple[Plan, TargetStatus]],
    request: Request,
    step: Step,
    run: Run,
) -> tuple[list[tuple[Built, TargetStatus]], list[_Failure]]:
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
            failures.append(_failure(each, error))
    return built, failures


def _install(
    root: Root, config: Config, found: Survey, built: Sequence[tuple[Built, TargetStatus]], run: Run
) -> tuple[list[Change], tuple[Problem, ...]]:
    if not built:
        return [], ()
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
    changes, unsure = commit.install(
        root, made, before, reads_modules=reads_modules, stand_ins=stand_ins
    )
    # Only now: an install that is refused, and a kill before this line, leave an older one, which
    # rollback can still put back.
    unkept = [
        problem
        for each, core in zip(made, previous, strict=True)
        if core
        for problem in _keep_previous(root, each, core)
    ]
    return changes, (*unsure, *unkept)


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
        return (
            Problem(
                code="previous-not-kept",
                message=message,
                hint=error.hint,
                severity=Severity.WARNING,
            ),
        )
    return ()


def _as_before(root: Root, after: Survey) -> list[_Failure]:
    """That the grub.cfg which was just made has what is wrong in it again: nothing that another
    run would mend.
    """
    menu = after.status.grub_cfg
    if menu is None or menu.state is State.CURRENT:
        return []
    codes = ", ".join(grub_config.reasons(menu))
    error = NotRepairedError(
        f"grub-mkconfig makes {grub_config.PATH} with the same fault again: {codes}",
        hint=grub_config.why_unlisted(root)
        or "look at /etc/default/grub and the scripts in /etc/grub.d; or set update_grub = false",
    )
    return [_Failure(name=grub_config.PATH, required=True, error=error)]


def _failure(plan: Plan, error: GuestHooksError) -> _Failure:
    return _Failure(name=plan.target.name, required=plan.required, error=error)


def _receipt(
    receipt: Receipt,
    built: Sequence[tuple[Built, TargetStatus]],
    failures: Sequence[_Failure],
    replaced: Sequence[Change],
) -> Receipt:
    made = {
        each.plan.target.name: TargetReceipt(
            core_sha256=evidence.sha256(each.core),
            request=each.plan.request,
            choices=each.plan.choices,
        )
        for each, _ in built
    }
    noted = safeguard.noted(
        receipt, [failure.error for failure in failures], [change.path for change in replaced]
    )
    return replace(noted, targets={**receipt.targets, **made})


def _foretold(
    root: Root, found: Survey, work: _Work, request: Request, step: Step, run: Run
) -> tuple[tuple[Change, ...], list[_Failure]]:
    """What a sync would change, to the byte where a build, or for a tree a look, can tell; else
    all that may be written.
    """
    can_tell = os.geteuid() == 0 and staging.stays_in_staging(root)
    likely = [row for row in work.targets if can_tell and root.exists(row[0].target.grub_dir)]
    built, failures = (
        _build_all(root, found, likely, request, step, run)
        if root.is_live
        else (_foreseen(root, likely), [])
    )
    known = {each.plan.target.name for each, _ in built} | {failure.name for failure in failures}
    changes = commit.changes(root, [each for each, _ in built], [status for _, status in built])
    for each, status in (row for row in work.targets if row[0].target.name not in known):
        files = [
            *((file.path, file.sha256) for file in status.files),
            (f"{each.target.grub_dir}/core.elf", ""),
        ]
        changes += [
            Change(path=path, before=before, after="", why=commit.reasons(status))
            for path, before in files
        ]
    if work.legacy_menu:
        changes.append(Change(path=legacy_menu.PATH, before="", after="", why=(legacy_menu.CODE,)))
    if work.menu:
        changes.append(Change(path=grub_config.PATH, before="", after="", why=work.menu))
    return tuple(changes), failures


def _foreseen(
    root: Root, targets: Sequence[tuple[Plan, TargetStatus]]
) -> list[tuple[Built, TargetStatus]]:
    receipt = receipts.load(root)
    asked = (
        (each, evidence.packaged(root, each.target), receipt.target(each.target.name), status)
        for each, status in targets
    )
    rows = (
        (foresee(root, each, packaged, remembered), status)
        for each, packaged, remembered, status in asked
    )
    return [(built, status) for built, status in rows if built is not None]


def _result(
    before: Survey,
    after: Survey,
    changes: tuple[Change, ...],
    failures: Sequence[_Failure],
    warnings: tuple[Problem, ...],
) -> Result:
    """What failed for a target that is not required is a warning."""
    optional = tuple(
        Problem(
            code="target-failed",
            message=f"{each.name}: {each.error.message}",
            hint=each.error.hint,
            severity=Severity.WARNING,
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
