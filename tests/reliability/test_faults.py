"""Some of a run's system calls failing; `make reliability` tries hundreds."""

from pathlib import Path

import pytest

from tests.reliability import faults, kills, scenario
from tests.reliability.scenario import Start
from tests.support import fault_lab


@pytest.mark.parametrize("error", faults.ERRORS)
def test_a_call_that_fails_is_told_and_breaks_nothing(tmp_path: Path, error: str) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        chosen = kills.spread(kills.points(lab, made), single=3, alike=1)
        assert [fault for fault in faults.sweep(lab, made, chosen, error) if fault] == []
