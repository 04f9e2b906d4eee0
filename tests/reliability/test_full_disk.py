"""A file system without room for an upgrade; `make reliability` tries every KiB."""

from pathlib import Path

from tests.reliability import full_disk, scenario
from tests.reliability.scenario import Start
from tests.support import fault_lab


def test_an_upgrade_fits_or_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        found = list(full_disk.steps(lab, made, step=64 * full_disk.KIB))
        assert len(found) > 20
        assert [fault for fault in found if fault] == []
        assert [fault for fault in full_disk.runs(lab, made, most=5 << 20, step=5 << 18) if fault] == []
