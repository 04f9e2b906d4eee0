# SPDX-License-Identifier: GPL-3.0-or-later
"""ELF headers are remembered from run to run, by the same program and pyelftools."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guest_hooks.formats import elf
from guest_hooks.machine import elf_readings
from guest_hooks.machine.root import Root
from guest_hooks.targets import TARGETS
from tests.support.second_stages import core_image


def another_run() -> None:
    elf.recall(())
    elf.read.cache_clear()
    elf_readings._noted.clear()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where root's runs remember what they read."""
    path = tmp_path / "elf-readings.json"
    monkeypatch.setattr(elf_readings, "READINGS", str(path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    another_run()
    yield path
    another_run()


def read_all() -> tuple[elf.Reading, ...]:
    elf_readings.recall(Root())
    for target in TARGETS:
        elf.read(core_image(target))
    elf_readings.remember(Root())
    return elf.known()


def test_the_next_run_knows_what_this_one_read(file: Path) -> None:
    known = read_all()
    assert len(known) == len(TARGETS)
    another_run()
    elf_readings.recall(Root())
    assert elf.known() == known
    written = file.stat().st_mtime_ns
    elf_readings.remember(Root())
    assert file.stat().st_mtime_ns == written


def test_a_tree_s_files_are_not_remembered(file: Path, tmp_path: Path) -> None:
    elf_readings.recall(Root(str(tmp_path)))
    elf.read(core_image("x86_64-xen"))
    elf_readings.remember(Root(str(tmp_path)))
    assert not file.exists()


def another_program(_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf_readings, "__version__", "0")


def another_pyelftools(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "elftools").mkdir()
    (file.parent / "elftools/__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(file.parent), *sys.path])


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, object], None]:
    def edit(file: Path, _monkeypatch: object) -> None:
        table = json.loads(file.read_text())
        change(table["readings"])
        file.write_text(json.dumps(table))

    return edit


@pytest.mark.parametrize(
    "change",
    [
        another_program,
        another_pyelftools,
        pytest.param(lambda file, _: file.write_text("{"), id="cut-off"),
        pytest.param(edited(lambda table: table.update(rows=5)), id="no-rows"),
        pytest.param(edited(lambda table: table["rows"][0].pop("elf")), id="no-elf"),
        pytest.param(edited(lambda table: table["rows"][0]["elf"].update(entry="x")), id="text"),
        pytest.param(edited(lambda table: table["rows"][0]["elf"].update(odd=1)), id="odd-field"),
        pytest.param(
            edited(lambda table: table["rows"][0]["elf"]["segments"][0].update(type=None)),
            id="null",
        ),
        pytest.param(edited(lambda table: table["rows"][0].update(spans=[[0]])), id="half-a-span"),
    ],
)
def test_what_another_one_read_or_no_one_wrote_is_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, object], None]
) -> None:
    read_all()
    change(file, monkeypatch)
    another_run()
    elf_readings.recall(Root())
    assert elf.known() == ()
    assert len(read_all()) == len(TARGETS)
