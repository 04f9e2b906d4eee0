# SPDX-License-Identifier: GPL-3.0-or-later
"""Some of a run's system calls failing; `make reliability` tries hundreds."""

from pathlib import Path

import pytest

from tests.reliability import faults, kills, scenario
from tests.reliability.kills import EACH_LOOK_READS
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


CLOCK = """
import time
now = time.time
time.time = lambda: now() + {}
"""


def test_a_run_makes_the_same_calls_however_new_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its number a call is found again."""
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        found = []
        for shift in (-3600, 3600):
            program = CLOCK.format(shift) + EACH_LOOK_READS
            monkeypatch.setattr(kills, "EACH_LOOK_READS", program)
            found.append([(point.call, point.number) for point in kills.points(lab, made)])
    assert found[0] == found[1]
