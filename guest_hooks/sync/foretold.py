# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync would change, for `--dry-run`."""

import os
from collections.abc import Sequence

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import receipts, staging
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run
from guest_hooks.model import Change, Status, TargetStatus
from guest_hooks.survey import evidence, grub_config, legacy_menu
from guest_hooks.survey.plan import Plan
from guest_hooks.survey.status import Survey
from guest_hooks.sync import commit, safeguard
from guest_hooks.sync.build import Built, foresee
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Failure, Request
from guest_hooks.sync.second_stages import build_all
from guest_hooks.sync.work import Work


def foretell(
    root: Root, found: Survey, work: Work, request: Request, step: Step, run: Run
) -> tuple[tuple[Change, ...], list[Failure]]:
    """What a sync would change, to the byte where a build, or for a tree a look, can tell; else
    all that may be written.
    """
    can_tell = os.geteuid() == 0 and staging.stays_in_staging(root)
    likely = [row for row in work.targets if can_tell and root.exists(row[0].target.grub_dir)]
    built, failures = (
        build_all(root, found, likely, request, step, run)
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
        installed = safeguard.with_installed(found.status, [each for each, _ in built])
        judged = None if request.force else installed
        try:
            can_make = can_tell and root.is_live
            changes += _menu(root, found, work, judged, run) if can_make else [_some_menu(work)]
        except GuestHooksError as error:
            failures.append(Failure(name=grub_config.PATH, required=True, error=error))
    return tuple(changes), failures


def _menu(root: Root, found: Survey, work: Work, judged: Status | None, run: Run) -> list[Change]:
    """What making grub.cfg would change; raises what would keep a sync from replacing it."""

    def judge(made: bytes) -> Sequence[str]:
        return safeguard.menu(root, found.config, judged, made, run=run) if judged else ()

    successor = grub_config.successor(root, work.menu, judge=judge, run=run)
    return [successor[1]] if successor else []


def _some_menu(work: Work) -> Change:
    return Change(path=grub_config.PATH, before="", after="", why=work.menu)


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
