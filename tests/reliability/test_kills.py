# SPDX-License-Identifier: GPL-3.0-or-later
"""A run killed before some of its system calls; `make reliability` tries hundreds."""

from pathlib import Path

import pytest

from tests.reliability import kills, scenario
from tests.reliability.kills import Victim
from tests.reliability.scenario import EMBEDDED, MINIMAL, Start
from tests.support import fault_lab


@pytest.mark.parametrize(
    "config", [pytest.param(EMBEDDED, id="embedded"), pytest.param(MINIMAL, id="minimal")]
)
@pytest.mark.parametrize("start", Start)
def test_a_killed_run_leaves_the_old_or_the_new(tmp_path: Path, start: Start, config: str) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, start, config=config)
        chosen = kills.spread(kills.points(lab, made), single=2, alike=1)
        assert [fault for fault in kills.sweep(lab, made, chosen) if fault] == []


def test_grub_install_killed_leaves_a_mixture(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE, plain=True)
        chosen = kills.spread(kills.points(lab, made), single=0, alike=3)
        assert [fault for fault in kills.sweep(lab, made, chosen) if fault] != []


def test_what_a_run_has_started_is_killed_and_breaks_nothing(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        chosen = kills.spread(kills.child_points(lab, made), single=1, alike=1)
        for victim in (Victim.CHILD, Victim.ALL):
            assert [fault for fault in kills.child_sweep(lab, made, chosen, victim) if fault] == []
        assert [fault for fault in kills.timed_sweep(lab, made, 4) if fault] == []
