# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of preflight as lines for a person and as an object for `--json`."""

from collections.abc import Iterator, Sequence
from typing import Any

from guest_hooks.model import Severity
from guest_hooks.preflight.result import Finding, Link, Preflight
from guest_hooks.records import asdict
from guest_hooks.repairs import ServiceStatus
from guest_hooks.report import layout
from guest_hooks.report.as_json import SCHEMA, guest_json, status_json
from guest_hooks.report.layout import Kind, Span, Style, Text, plain
from guest_hooks.report.problem_lines import finding, message
from guest_hooks.survey.outlook import Outlook

COLUMN = 13
BAR_WIDTH = 72
_LINKS = {Link.STAGE1: "stage 1", Link.SECOND_STAGE: "second stage", Link.HANDOVER: "handover"}
_OF_A_FINDING = tuple("code link thing message console certainty hint severity stops".split())
"""What the schema has; other fields are for the program alone."""


def preflight_json(answer: Preflight) -> dict[str, Any]:
    """What `preflight --json` prints."""
    return {
        "schema": SCHEMA,
        "ok": answer.ok,
        "will_boot": _will_boot(answer),
        "guest": guest_json(answer.guest),
        "chain": [{"link": step.link, "text": step.text} for step in answer.chain],
        "findings": [finding_json(each) for each in answer.findings],
        "unknown": list(answer.unknown),
    }


def outlook_json(outlook: Outlook, service: ServiceStatus | None = None) -> dict[str, Any]:
    """What `status --json` prints: the status, the next boot, and the one verdict on both."""
    return {
        **status_json(outlook.status, service),
        "ok": outlook.ok,
        "next_boot": short_json(outlook.next_boot) if outlook.next_boot else None,
    }


def short_json(answer: Preflight) -> dict[str, Any]:
    """The `next_boot` object of `status --json`."""
    return {
        "ok": answer.ok,
        "will_boot": _will_boot(answer),
        "findings": [finding_json(each) for each in answer.findings],
    }


def _will_boot(answer: Preflight) -> bool | None:
    """None where it is not known, as the screen says then."""
    return None if answer.will_boot and not answer.is_followed else answer.will_boot


def finding_json(found: Finding) -> dict[str, Any]:
    """One finding, by the name that preflight gives its code."""
    known = {**asdict(found), "code": found.name}
    return {name: known[name] for name in _OF_A_FINDING}


def preflight_text(answer: Preflight, style: Style) -> list[str]:
    """The verdict, what speaks against it, the chain link by link, and what can't be known."""
    lines = layout.row("Next boot", headline(answer), style, column=COLUMN)
    first = leading(answer)
    steps: set[str] = set()
    for found in answer.findings if first is None else _first(answer, first):
        lines += finding(found, style, with_message=found is not first, steps=steps)
    last = Link.STAGE1
    for step in answer.chain:
        if step.link is Link.STAGE1 is not last:
            lines.append("")  # the boot in another mode begins
        last = step.link
        name = f"{_LINKS.get(step.link, step.link)}"
        lines += layout.row(name, plain(step.text), style, column=COLUMN)
    for number, item in enumerate(answer.unknown):
        lines += layout.row("" if number else "Not known", plain(item), style, column=COLUMN)
    return lines


def leading(answer: Preflight) -> Finding | None:
    """The error that the headline names: the first that ends the boot, else the first."""
    errors = [found for found in answer.findings if found.severity is Severity.ERROR]
    return next((found for found in errors if found.stops), errors[0] if errors else None)


def headline(answer: Preflight, *, needs_action: bool = False) -> Text:
    """Whether it will boot, and what speaks against it; `needs_action`: other things do."""
    first = leading(answer)
    if first is not None:
        verdict: Span = ("WILL NOT BOOT", Kind.BAD)
        if answer.will_boot:
            said = "will boot, but not as it should" if answer.is_followed else "not known"
            verdict = (said, Kind.LOOK)
        return verdict, (f": {message(first)}", Kind.PLAIN)
    if not answer.is_followed:
        return ("not known", Kind.LOOK), (f": {'; '.join(answer.unknown[:1])}", Kind.PLAIN)
    found = _kernels(answer)
    by = f" {found}" if found else ""
    if needs_action:
        return ("will boot", Kind.LOOK), (f"{by}; action needed, see below", Kind.PLAIN)
    return ("will boot", Kind.GOOD), (by, Kind.PLAIN)


def kernel_text(version: str, findings: Sequence[Finding], style: Style) -> list[str]:
    """A warning of a new kernel that stands out from a package manager's lines; nothing where
    nothing was found.
    """
    if not findings:
        return []
    words = [line for found in findings for line in finding(found, style, indent=2)]
    title = f"xen-guest-bootloader: this guest will not boot with Linux {version}:"
    return _between_bars([title, *words], style)


def alarm_text(answer: Preflight, style: Style) -> list[str]:
    """That this guest will not boot, so that it stands out from a package manager's lines; nothing
    where it will.
    """
    first = leading(answer)
    if answer.will_boot or first is None:
        return []
    words = [*finding(first, style, indent=2)]
    title = "xen-guest-bootloader: this guest will not boot any more:"
    return _between_bars([title, *words], style)


def _between_bars(lines: Sequence[str], style: Style) -> list[str]:
    bar = "*" * min(style.width or BAR_WIDTH, BAR_WIDTH)
    return [bar, *lines, bar]


def _first(answer: Preflight, first: Finding) -> Iterator[Finding]:
    yield first
    yield from (found for found in answer.findings if found is not first)


def _kernels(answer: Preflight) -> str:
    """The kernels that will be started, one for each mode that was followed."""
    names = (step.thing.rpartition("/")[2] for step in answer.chain if step.link is Link.KERNEL)
    return ", ".join(dict.fromkeys(name for name in names if name))
