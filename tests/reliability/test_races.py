# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once; `make reliability` starts a hundred pairs."""

from pathlib import Path

import pytest

from tests.reliability import scenario
from tests.reliability.races import pairs
from tests.support import fault_lab


@pytest.mark.parametrize(
    "wrapped", [pytest.param(False, id="sync"), pytest.param(True, id="grub-install")]
)
def test_a_sync_and_another_run_of_two_versions_leave_all_of_one(
    tmp_path: Path, *, wrapped: bool
) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        lab.install_package()
        empty = lab.snapshot("empty")
        other = list(scenario.PLAIN) if wrapped else lab.sync_command()
        assert [
            fault for fault in pairs(lab, empty, lab.sync_command(), other, count=3) if fault
        ] == []
