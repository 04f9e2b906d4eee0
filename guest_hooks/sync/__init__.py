# SPDX-License-Identifier: GPL-3.0-or-later
"""Build, verify and install what is missing or out of date, make the menus, and remember it."""

import os
from contextlib import nullcontext, suppress

from guest_hooks.config import Config
from guest_hooks.errors import GuestHooksError, KeptError, LackingError, NotRepairedError
from guest_hooks.formats import fs_features
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import disks, elf_readings, hold, receipts
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Problem, Severity, State
from guest_hooks.paths import BOOT, GRUB_CFG, GRUB_DIR
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.program import SYNC
from guest_hooks.records import replace
from guest_hooks.survey import menu_kernels, menu_verdict
from guest_hooks.survey.status import Survey, require, survey
from guest_hooks.sync import (
    commit,
    kernel_copies,
    menus,
    packages,
    safeguard,
    second_stages,
    unchanged,
    work,
)
from guest_hooks.sync.bookkeeping import receipt_of
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Done, Failure, Request, Result, result_of


def sync(root: Root, config: Config, request: Request, *, step: Step = nullcontext) -> Result:
    """Bring every target and grub.cfg to what they should be.

    Raises `NotApplicableError` where there is no target, `LackingError` where something outside is
    missing, `LockedError`. What fails for one target does not keep the others from being done; it
    is in the result's `failures`.
    """
    if request.dry_run:
        return _foreseen(root, config, request, step)
    require(root, config, request.targets)
    if os.geteuid() != 0:
        raise LackingError("sync must be run as root", hint=f"sudo {SYNC}")
    with packages.held(
        root,
        waits=request.waits_for_packages,
        is_asked_for=not request.automatic,
        lock_timeout=request.lock_timeout,
    ) as unsettled:
        if request.automatic and hold.held_for(root, repair=config.repair):
            return replace(_foreseen(root, config, request, step), is_held=True)
        if not request.automatic:
            receipts.end_holds(root, request.targets)
        with step("Looking at what is there"):
            found = _look(root, config, request)
        if unreadable := _unreadable(found):
            return result_of(found, found, (), unreadable, unsettled)
        wanted = work.decide(found, request)
        if wanted.is_nothing and not kernel_copies.foretold(root, found, request.targets):
            with suppress(GuestHooksError):  # what a killed run left takes room, and no more
                commit.sweep(root)
            unchanged.remember(root, found, request.targets)
            return result_of(found, found, (), wanted.failures, unsettled)
        disks.require_writable(root)
        return _made(root, found, request, unsettled, step)


def _foreseen(root: Root, config: Config, request: Request, step: Step) -> Result:
    """What a sync would do; nothing is changed."""
    from guest_hooks.sync.foretold import foretell  # noqa: PLC0415 - others make it

    found = _look(root, config, request)
    if unreadable := _unreadable(found):
        return result_of(found, found, (), unreadable, ())
    wanted = work.decide(found, request)
    foretold, failures = foretell(root, found, wanted, request, step)
    foretold += kernel_copies.foretold(root, found, request.targets)
    return result_of(found, found, foretold, (*wanted.failures, *failures), ())


def _unreadable(found: Survey) -> tuple[Failure, ...]:
    """That GRUB can't read the file system of /boot: whatever was made there, it would not boot."""
    boot = found.status.boot
    if boot is None or boot.unreadable is None:
        return ()
    error = NotRepairedError(fs_features.explain(boot), hint=fs_features.remedy(boot))
    return (Failure(name=BOOT, required=True, error=error),)


def _look(root: Root, config: Config, request: Request, known: Survey | None = None) -> Survey:
    """How the guest is; what was learnt of its kernels is remembered."""
    memory = (known.memory if known else None) or Memory(root)
    found = survey(
        root,
        config,
        targets=request.targets,
        asked=request.choices,
        known=known,
        memory=memory,
    )
    if root.is_live:
        memory.save()
    return found


def _made(
    root: Root, before: Survey, request: Request, unsettled: tuple[Problem, ...], step: Step
) -> Result:
    """Make the copies of kernels, the second stages and the menus, in this order, and remember
    them once GRUB reads them.
    """
    with step("Removing what an earlier run left"):
        commit.sweep(root)
    settling = Settling(root)
    found, done = _with_copies(root, before, request, settling, step)
    wanted = work.decide(found, request)
    built, failures = second_stages.build_all(root, found, wanted.targets, request, step)
    with step("Writing to the disk"):
        installed = second_stages.install(root, found.config, found, built, settling)
    again = Done()
    if installed.changes and any(isinstance(each.error, LackingError) for each in done.failures):
        # What was left free for the second stages is theirs no longer.
        found = replace(found, status=safeguard.with_installed(found.status, built))
        found, again = _with_copies(root, found, request, settling, step)
        done = replace(done, failures=())
    judged = None if request.force else safeguard.with_installed(found.status, built)
    failed = {each.name for each in (*done.failures, *again.failures)}
    menu = () if GRUB_CFG in failed else wanted.menu
    due = menus.Wanted(grub_cfg=menu, judged=judged, menu_lst=wanted.legacy_menu)
    done += Done(failures=failures) + installed + again
    done += menus.renew(root, found, due, settling, step=step)
    with step("Waiting until GRUB reads what was written"):
        settling.finish()
    earlier = receipts.load(root)
    unnoted = receipts.save(root, receipt_of(earlier, built, done.failures, done.changes))
    after = survey(root, found.config, targets=request.targets, known=found)
    elf_readings.remember(root)
    if wanted.menu and not done.failures and (same := _as_before(root, after)):
        done += Done(failures=same)
        receipts.save(root, safeguard.noted(receipts.load(root), [each.error for each in same], ()))
    done += kernel_copies.tidy(root, after, request.targets, is_forced=request.force)
    done += Done(unsure=(*settling.problems, *unnoted))
    unchanged.remember(root, after, request.targets)
    outcome = result_of(
        before, after, done.changes, (*wanted.failures, *done.failures), (*unsettled, *done.unsure)
    )
    return replace(
        outcome,
        repeated=tuple(each for each in outcome.failures if safeguard.is_known(earlier, each)),
        is_settled=settling.is_settled(GRUB_DIR),
    )


def copy_kernels(
    root: Root, config: Config, request: Request, *, step: Step = nullcontext
) -> Result:
    """Make the copies of kernels for PV that are lacking, and nothing else, as `sync` does: before
    update-grub lists a new kernel.
    """
    require(root, config, request.targets)
    with packages.held(
        root,
        waits=False,
        is_asked_for=not request.automatic,
        lock_timeout=request.lock_timeout,
    ) as unsettled:
        found = _look(root, config, request)
        if not kernel_copies.lacking(found):
            return result_of(found, found, (), (), unsettled)
        if request.automatic and hold.held_for(root, repair=config.repair):
            foretold = kernel_copies.foretold(root, found, request.targets)
            return replace(result_of(found, found, foretold, (), unsettled), is_held=True)
        disks.require_writable(root)
        settling = Settling(root)
        made = kernel_copies.renew(root, found, settling, step=step)
        settling.finish()
        after = survey(root, config, targets=request.targets, known=found)
        unsure = (*unsettled, *settling.problems)
        return result_of(found, after, made.changes, made.failures, unsure)


def _with_copies(
    root: Root, found: Survey, request: Request, settling: Settling, step: Step
) -> tuple[Survey, Done]:
    """Make the copies of kernels for PV, and the menu if it does not start them, and look again.

    The menu comes before a second stage here, because a second stage reads it: by the one that is
    there it would start a kernel that GRUB can't unpack.
    """
    copied = kernel_copies.renew(root, found, settling, step=step)
    if copied.changes:
        found = _look(root, found.config, request, known=found)
    reasons = work.decide(found, request).menu
    if MenuProblem.PV_KERNEL_NOT_LISTED not in reasons:
        return found, copied
    only = menus.Wanted(grub_cfg=reasons, judged=found.status)
    menu = menus.renew(root, found, only, settling, step=step)
    if menu.changes:
        found = _look(root, found.config, request, known=found)
    # A menu that was kept may be taken once there is a second stage; what failed would fail again.
    failed = [each for each in menu.failures if not isinstance(each.error, KeptError)]
    return found, copied + Done(changes=menu.changes, failures=tuple(failed))


def _as_before(root: Root, after: Survey) -> tuple[Failure, ...]:
    """That the grub.cfg which was just made has what is wrong in it again: nothing that another
    run would repair.
    """
    menu = after.status.grub_cfg
    if menu is None or menu.state is State.CURRENT:
        return ()
    errors = [each.message for each in menu.problems if each.severity is Severity.ERROR]
    made = sha256(menu_kernels.content(root) or b"")
    error = KeptError(
        f"grub-mkconfig makes {GRUB_CFG} with the same fault again: {'; '.join(errors)}",
        path=GRUB_CFG,
        before=made,
        made=made,
        hint=menu_verdict.why_unlisted(root)
        or "look at /etc/default/grub and the scripts in /etc/grub.d; or set update_grub = false",
    )
    return (Failure(name=GRUB_CFG, required=True, error=error),)
