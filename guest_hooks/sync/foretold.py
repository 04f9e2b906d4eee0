# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync would change, for `--dry-run`."""

import os
from collections.abc import Iterator

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import installer
from guest_hooks.machine.root import Root
from guest_hooks.model import Change, Status
from guest_hooks.paths import GRUB_CFG, MENU_LST
from guest_hooks.problems.other_hosts import LegacyProblem
from guest_hooks.survey.observed import SurveyedTarget
from guest_hooks.survey.status import Survey
from guest_hooks.sync import delta, menu_files, safeguard
from guest_hooks.sync.build import foresee
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Failure, Request
from guest_hooks.sync.second_stages import build_all
from guest_hooks.sync.work import Work


def foretell(
    root: Root, found: Survey, work: Work, request: Request, step: Step
) -> tuple[tuple[Change, ...], tuple[Failure, ...]]:
    """What a sync would change, to the byte where a build, or for a tree a look, can tell; else
    all that may be written.
    """
    can_tell = os.geteuid() == 0 and installer.stays_in_staging(root)
    likely = [each for each in work.targets if can_tell and root.exists(each.plan.target.grub_dir)]
    built, failures = (
        build_all(root, found, likely, request, step)
        if root.is_live
        else ([made for each in likely if (made := foresee(each)) is not None], ())
    )
    known = {each.there.name for each in built} | {failure.name for failure in failures}
    changes = [*delta.of(built).changes]
    for each in work.targets:
        changes += _at_most(each) if each.name not in known else ()
    if work.legacy_menu:
        changes.append(Change(path=MENU_LST, before="", after="", why=(LegacyProblem.MENU,)))
    if work.menu:
        installed = safeguard.with_installed(found.status, built)
        judged = None if request.force else installed
        try:
            can_make = can_tell and root.is_live
            changes += _menu(root, found, work, judged) if can_make else [_some_menu(work)]
        except GuestHooksError as error:
            failures += (Failure(name=GRUB_CFG, required=True, error=error),)
    return tuple(changes), failures


def _menu(root: Root, found: Survey, work: Work, judged: Status | None) -> list[Change]:
    """What making grub.cfg would change; raises what would keep a sync from replacing it."""
    judge = safeguard.judge(root, found.config, judged)
    successor = menu_files.successor(root, work.menu, judge=judge)
    return [successor[1]] if successor else []


def _some_menu(work: Work) -> Change:
    return Change(path=GRUB_CFG, before="", after="", why=work.menu)


def _at_most(there: SurveyedTarget) -> Iterator[Change]:
    """All that a sync may write for one target."""
    why = delta.reasons(there.status)
    for file in there.status.files:
        yield Change(path=file.path, before=file.sha256, after="", why=why)
    yield Change(path=f"{there.plan.target.grub_dir}/core.elf", before="", after="", why=why)
