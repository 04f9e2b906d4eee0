"""Two runs at once; `make reliability` starts a hundred pairs."""

from pathlib import Path

from tests.reliability import races
from tests.support import fault_lab


def test_two_versions_at_once_leave_all_of_one(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        empty = lab.snapshot("empty")
        found = races.pairs(lab, empty, lab.sync_command(), lab.sync_command(), count=3)
        assert [fault for fault in found if fault] == []
