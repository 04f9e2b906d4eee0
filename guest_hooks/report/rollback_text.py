# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback can put back, and what it did."""

from collections.abc import Sequence
from typing import Any

from guest_hooks.model import Change, Problem, Status, TargetStatus
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import asdict
from guest_hooks.repairs import utc
from guest_hooks.report import moments
from guest_hooks.report.as_json import SCHEMA
from guest_hooks.sizes import size
from guest_hooks.survey.previous import Previous

SAME = "Nothing to do: the two are the same."


def previous_json(kept: Sequence[Previous]) -> dict[str, Any]:
    """What `rollback --list --json` prints."""
    return {
        "schema": SCHEMA,
        "previous": [{**asdict(each), "kept_at": utc(each.kept_at)} for each in kept],
    }


def previous_text(kept: Sequence[Previous], now: float) -> list[str]:
    """A line for each second stage that can be put back."""
    return [
        f"{each.path}: GRUB {each.grub_version or 'of unknown version'}, {size(each.size)},"
        f" replaced {moments.moment(each.kept_at, now)}"
        for each in kept
    ] or ["No second stage before the present one was kept."]


def rollback_text(status: Status, changes: Sequence[Change]) -> list[str]:
    """What was put back, and what automatic runs do with it; `status` is that afterwards."""
    changed = {change.path for change in changes}
    lines = []
    for target in (each for each in status.targets if each.path in changed):
        version = f"GRUB {target.grub_version}" if target.grub_version else "the one kept before"
        lines.append(f"Put back {target.path}: {version}.")
        if held := _held(target):
            lines.append(f"Automatic runs leave it alone; {held.hint}")
        else:
            lines.append("It is the newest, which automatic runs keep up to date.")
    return lines or [SAME]


def _held(target: TargetStatus) -> Problem | None:
    code = SecondStageProblem.HELD_BY_ROLLBACK
    return next((each for each in target.problems if each.code == code), None)
