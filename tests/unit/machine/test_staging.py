# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging belongs to the run that made it, whatever another run sweeps."""

import os
from pathlib import Path

import pytest

from guest_hooks.machine import staging


@pytest.fixture
def staging_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(staging, "STAGING_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_a_sweep_leaves_what_another_run_works_in(staging_dir: Path) -> None:
    with staging.scratch(0) as top:
        (Path(top) / "core.elf").touch()
        staging.sweep()
        assert (Path(top) / "core.elf").exists()
    assert os.listdir(staging_dir) == []


def test_a_sweep_removes_what_a_killed_run_left(staging_dir: Path) -> None:
    (staging_dir / "staging.dead" / "modules").mkdir(parents=True)
    (staging_dir / "staging.dead" / "modules" / "core.elf").touch()
    (staging_dir / "other").mkdir()
    staging.sweep()
    assert os.listdir(staging_dir) == ["other"]
    staging_dir.rename(staging_dir.with_name("gone"))
    staging.sweep()
