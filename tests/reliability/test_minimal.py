# SPDX-License-Identifier: GPL-3.0-or-later
"""Second stages that read modules from /boot change together with these, and are never left
half way.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.scenario import MINIMAL
from tests.support import fault_lab
from tests.support.debian_tree import Suite
from tests.support.fault_lab import MODULES, SECOND_STAGE, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with fault_lab.lab(tmp_path / "lab", config=MINIMAL) as made:
        made.synced()
        yield made


def test_a_directory_repaired_alone_keeps_no_stand_in(lab: Lab) -> None:
    before = lab.view()
    (lab.work / MODULES[1:] / "normal.mod").unlink()
    lab.synced()
    assert lab.view() == before


def test_rollback_refuses_a_second_stage_whose_modules_are_gone(lab: Lab) -> None:
    lab.grub = Suite.TRIXIE
    lab.synced()
    before = lab.view()
    done = lab.run(
        "/usr/bin/python3",
        "-m",
        "guest_hooks",
        "rollback",
        "--target",
        fault_lab.TARGET,
        "--config",
        str(lab.work / "config.toml"),
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert lab.view() == before
    assert fault_lab.cat(lab.copy(), SECOND_STAGE) == before.core
