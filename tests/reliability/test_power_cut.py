# SPDX-License-Identifier: GPL-3.0-or-later
"""The power cut at some of the writes of a run; `make reliability` takes many more."""

from pathlib import Path

import pytest

from tests.reliability import power_cut
from tests.reliability.scenario import EMBEDDED, MINIMAL, Start
from tests.support import fault_lab


@pytest.mark.parametrize(
    "config", [pytest.param(EMBEDDED, id="embedded"), pytest.param(MINIMAL, id="minimal")]
)
@pytest.mark.parametrize("fs_type", fault_lab.SIZES)
def test_grub_reads_the_old_or_the_new_at_every_write(
    tmp_path: Path, fs_type: str, config: str
) -> None:
    found = list(power_cut.sweep(tmp_path, fs_type, Start.UPGRADE, config=config, most=25))
    assert len(found) > 20
    assert [fault for fault in found if fault] == []


def test_what_grub_install_wrote_is_not_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    found = list(power_cut.sweep(tmp_path, "ext4", Start.FIRST, plain=True, most=10))
    assert found[-1].endswith("not all of the new")


_BROKEN = """
import sys
from guest_hooks.machine import durable, settling
{change}
from guest_hooks import cli
sys.exit(cli.main())
"""
_NO_FIRST_BARRIER = "settling.settle = lambda root, path: None"
_NO_SECOND_NAME = "durable._keep = lambda root, path: []"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_NO_FIRST_BARRIER, id="no-first-barrier"),
        pytest.param(_NO_SECOND_NAME, id="no-second-name"),
    ],
)
def test_the_cuts_find_a_sync_that_leaves_out_a_step(tmp_path: Path, change: str) -> None:
    program = ("-c", _BROKEN.format(change=change))
    assert any(power_cut.sweep(tmp_path, "ext4", Start.UPGRADE, program=program))
