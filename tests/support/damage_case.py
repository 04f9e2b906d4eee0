# SPDX-License-Identifier: GPL-3.0-or-later
"""One damage that keeps a guest from booting, and the finding that must follow."""

from dataclasses import dataclass
from pathlib import Path

from guest_hooks.model import Mode, Severity
from guest_hooks.preflight.result import Certainty
from tests.support.boot_damage import (
    PV,
    Damage,
)
from tests.support.boot_tree import BootTree


@dataclass(frozen=True, slots=True)
class Case:
    """One damage and the finding that must follow: its code, the console's words, whether the
    boot ends there.
    """

    name: str
    damage: Damage
    code: str
    console: str = ""
    mode: Mode = PV
    boots: bool = False
    severity: Severity = Severity.ERROR
    certainty: Certainty = Certainty.CERTAIN
    also: frozenset[str] = frozenset()


def check(case: Case, tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=case.mode)
    case.damage(tree)
    answer = tree.preflight()
    found = {finding.name: finding for finding in answer.findings}
    assert case.code in found
    finding = found[case.code]
    assert case.console in finding.console
    assert (finding.severity, finding.certainty) == (case.severity, case.certainty)
    assert answer.will_boot == case.boots
    assert answer.ok == (case.severity is Severity.WARNING)
    assert finding.message
    assert finding.hint
    if case.severity is Severity.ERROR:
        assert {code for code, other in found.items() if other.severity is Severity.ERROR} == {
            case.code
        } | case.also
