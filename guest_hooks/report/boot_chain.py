# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of preflight as lines for a person and as an object for `--json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from guest_hooks.model import Severity
from guest_hooks.preflight.result import Certainty, Finding, Preflight
from guest_hooks.report.as_json import SCHEMA, guest_json
from guest_hooks.report.as_text import Style

_SURE = {Certainty.CERTAIN: "", Certainty.LIKELY: " (likely)", Certainty.UNKNOWN: " (not known)"}


def preflight_json(answer: Preflight) -> dict[str, Any]:
    """What `preflight --json` prints."""
    return {
        "schema": SCHEMA,
        "ok": answer.ok,
        "will_boot": answer.will_boot,
        "guest": guest_json(answer.guest),
        "chain": [asdict(step) for step in answer.chain],
        "findings": [finding_json(finding) for finding in answer.findings],
        "unknown": list(answer.unknown),
    }


def preflight_text(answer: Preflight, style: Style) -> list[str]:
    """The chain, each finding with the console's words and the next step, the verdict, and what
    the guest can't know.
    """
    lines = [f"{style.paint(f'{step.link:>12}', 'dim')}  {step.text}" for step in answer.chain]
    for finding in answer.findings:
        lines += finding_text(finding, style)
    lines.append(verdict(answer, style))
    lines += [f"  not known: {item}" for item in answer.unknown]
    return lines


def finding_json(finding: Finding) -> dict[str, Any]:
    """One finding, by the name that preflight gives its code."""
    return {**asdict(finding), "code": finding.name}


def short_json(answer: Preflight) -> dict[str, Any]:
    """The `next_boot` object of `status --json`."""
    return {
        "ok": answer.ok,
        "will_boot": answer.will_boot,
        "findings": [finding_json(finding) for finding in answer.findings],
    }


def short_text(answer: Preflight, style: Style) -> list[str]:
    """The line, and the findings, that `status` adds."""
    found = [line for finding in answer.findings for line in finding_text(finding, style)]
    return [f"Next boot: {verdict(answer, style)}", *(f"  {line}" for line in found)]


def verdict(answer: Preflight, style: Style) -> str:
    """One line: whether it will boot."""
    if not answer.will_boot:
        return style.paint("will not boot", "bad")
    if not answer.ok:
        return style.paint("will boot, as far as the guest can know, and not as it should", "warn")
    return style.paint("will boot, as far as the guest can know", "good")


def kernel_text(version: str, findings: Sequence[Finding]) -> list[str]:
    """A warning of a new kernel that stands out from a package manager's lines; nothing where
    nothing was found.
    """
    if not findings:
        return []
    bar = "*" * 72
    words = [line for finding in findings for line in finding_text(finding, Style())]
    return [bar, f"xen-guest-bootloader: this guest will not boot by Linux {version}:", *words, bar]


def finding_text(finding: Finding, style: Style) -> list[str]:
    """The lines of one finding."""
    kind = "bad" if finding.severity is Severity.ERROR else "warn"
    lines = [
        f"{style.paint(str(finding.severity), kind)}: {finding.message}{_SURE[finding.certainty]}"
    ]
    if finding.console:
        lines.append(f"  console: {finding.console}")
    elif finding.stops:
        lines.append("  console: says nothing")
    if finding.hint:
        lines.append(f"  next: {finding.hint}")
    return lines
