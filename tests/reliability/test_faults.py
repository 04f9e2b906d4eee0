# SPDX-License-Identifier: GPL-3.0-or-later
"""Some of a run's system calls failing; `make reliability` tries hundreds."""

from pathlib import Path

from tests.reliability import faults, kills, scenario
from tests.reliability.scenario import Start
from tests.support import fault_lab


def test_a_call_that_fails_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        found = kills.points(lab, made)
        for number, error in enumerate(faults.ERRORS):
            # Other calls for each error.
            chosen = kills.spread(found[number:], single=3, alike=1)
            assert [fault for fault in faults.sweep(lab, made, chosen, error) if fault] == []
