# SPDX-License-Identifier: GPL-3.0-or-later
"""How the automatic repairs are: on, on hold, turned off, failing; as rows of the status screen."""

from guest_hooks.repairs import NEVER, Hold, ServiceStatus, seconds
from guest_hooks.report import moments
from guest_hooks.report.layout import Kind, Style, Text, plain, row
from guest_hooks.report.problem_lines import below, step

COLUMN = 13


def hold_text(hold: Hold, now: float) -> str:
    """Since when, until when and by whom."""
    since = f" since {moments.clock(hold.since, now)}" if hold.since else ""
    end = "" if hold.until == NEVER else f" until {moments.moment(hold.until, now)}"
    return f"on hold{since}{end}{f', by {hold.by}' if hold.by else ''}"


def repair_rows(
    service: ServiceStatus | None,
    hold: Hold | None,
    now: float,
    style: Style,
    *,
    repair: bool,
    unhold: str,
) -> list[str]:
    """The row of the repairs, and below it what to do; `unhold` ends a hold."""
    if hold is not None:
        lines = row(
            "Repair",
            ((hold_text(hold, now), Kind.LOOK), ("; nothing is changed automatically", Kind.PLAIN)),
            style,
            column=COLUMN,
        )
        return lines + step(unhold, style)
    if not repair:
        text: Text = (
            ("off", Kind.LOOK),
            (": repair = false in the configuration; nothing is changed automatically", Kind.PLAIN),
        )
        return row("Repair", text, style, column=COLUMN)
    if service is None:
        return []
    lines = row("Repair", _service(service, now), style, column=COLUMN)
    for trouble in service.troubles:
        lines += below("note", plain(trouble), style)
    if not service.running:
        lines += step("systemctl start xen-guest-bootloader", style)
    return lines


def _service(service: ServiceStatus, now: float) -> Text:
    if not service.running:
        return ("off", Kind.LOOK), (": the repair service is not running", Kind.PLAIN)
    checked = _moment(service.look_at, now)
    if service.retry_at:
        why = service.repair if service.repair not in ("", "done") else service.look
        return ("failing", Kind.BAD), (
            f": {why}; next try {_moment(service.retry_at, now)}",
            Kind.PLAIN,
        )
    if not checked:
        return plain("on; it has not checked anything yet")
    return plain(f"on; checked {checked}, {'all well' if service.is_well else service.look}")


def _moment(text: str, now: float) -> str:
    """A point in time of the state file (UTC) in local time with its age; empty for none."""
    at = seconds(text)
    return "" if at is None else moments.moment(at, now)
