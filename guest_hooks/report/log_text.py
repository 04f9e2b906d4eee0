# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to the boot files, entry by entry, for a person and as an object for `--json`."""

from collections.abc import Sequence
from typing import Any

from guest_hooks.origin import Doer, Entry
from guest_hooks.records import asdict
from guest_hooks.repairs import utc
from guest_hooks.report import moments
from guest_hooks.report.as_json import SCHEMA
from guest_hooks.report.layout import Kind, Style, block

INDENT = 18
"""Width of the longest time, and two blanks."""
_FAILED = ("not-repaired", "lacking", "foreign")
_BY = {
    Doer.HOOK: "hook",
    Doer.SERVICE: "the repair service",
    Doer.TIMER: "the daily timer",
    Doer.PERSON: "",
}


def log_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """What `log --json` prints."""
    rows = [{**asdict(entry), "time": utc(entry.time)} for entry in entries]
    return {"schema": SCHEMA, "entries": rows}


def log_text(entries: Sequence[Entry], now: float, style: Style) -> list[str]:
    """A line for each entry: when, what and why, by whom."""
    lines = []
    for entry in entries:
        kind = Kind.BAD if entry.outcome in _FAILED else Kind.PLAIN
        who = by(entry)
        text = ((entry.message.replace("\n", "; "), kind), (f" ({who})" if who else "", Kind.PLAIN))
        when = moments.clock(entry.time, now)
        lines += block(text, style, first=((when.ljust(INDENT), Kind.PLAIN),), indent=INDENT)
    return lines


def by(entry: Entry) -> str:
    """Who did it, in words; empty where the entry does not say."""
    if entry.by not in list(Doer):
        return ""
    return " ".join(filter(None, ("by", _BY[Doer(entry.by)], entry.by_name)))
