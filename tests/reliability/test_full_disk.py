# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system without room for an upgrade; `make reliability` tries every KiB."""

import re
from pathlib import Path

import pytest

from guest_hooks.errors import ExitCode
from tests.reliability import full_disk, scenario
from tests.reliability.scenario import Start
from tests.support import fault_lab
from tests.support.fault_lab import SECOND_STAGE


def test_an_upgrade_fits_or_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE)
        found = list(full_disk.steps(lab, made, step=64 * full_disk.KIB))
        assert len(found) > 20
        assert [fault for fault in found if fault] == []
        assert [fault for fault in full_disk.runs(lab, made, [0, 3 << 20, 6 << 20]) if fault] == []


def test_grub_install_leaves_less_than_a_second_stage(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        made = scenario.make(lab, Start.UPGRADE, plain=True)
        enough = full_disk.enough(lab, made)
        found = list(
            full_disk.runs(lab, made, range(enough - 16 * full_disk.KIB, enough, full_disk.KIB))
        )
        assert [fault for fault in found if fault] != []


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("size=64k,nr_inodes=1", id="no-directory"),
        pytest.param("size=64k,nr_inodes=3", id="no-directory-in-it"),
        pytest.param("size=1m", id="no-second-stage"),
    ],
)
def test_a_full_run_is_told_with_need_and_have(tmp_path: Path, options: str) -> None:
    full = f'mount -t tmpfs -o {options} full /run; exec "$@"'
    with fault_lab.lab(tmp_path / "lab") as lab:
        done = lab.sync(before=("sh", "-c", full, "sh"))
        assert done.returncode == ExitCode.LACKING, done.stderr
        assert re.search(
            r"error: /run/xen-guest-bootloader .* it needs [\d.]+ .*, and [\d.]+ .*free",
            done.stderr,
        )
        assert not (lab.work / SECOND_STAGE[1:]).exists()
