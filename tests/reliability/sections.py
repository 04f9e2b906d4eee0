"""The sweeps of `make reliability`, each of which can run beside the others, and what they come to as rows."""

import functools
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import CHECKOUT
from tests.reliability import faults, full_disk, fuzz, kills, power_cut, races, scenario
from tests.reliability.fuzz_targets import TARGETS
from tests.reliability.scenario import EMBEDDED, MINIMAL, Start
from tests.reliability.table import Row, tally
from tests.support import fault_lab
from tests.support.fault_lab import Lab

Found = Iterable[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a row: `find` yields one string a point, empty where nothing was broken; `plain` is grub-install's side."""

    row: str
    name: str
    find: Callable[[Path], Found]
    plain: bool = False


def all_sections(*, kill_points: int, fault_points: int, cuts: int, pair_count: int, fuzz_seconds: float) -> list[Section]:
    """Every section, the longest first."""
    made: list[Section] = []
    for start in Start:
        for config, plain in ((EMBEDDED, False), (MINIMAL, False), (EMBEDDED, True)):
            most = kill_points if not plain else kill_points * 2
            find = functools.partial(_kills, start=start, config=config, plain=plain, most=most)
            made.append(_section(f"killed before a system call, {start}", f"kills {start} {config} {plain}", find, plain=plain))
    for config, plain in ((EMBEDDED, False), (MINIMAL, False), (EMBEDDED, True)):
        find = functools.partial(_faults, config=config, plain=plain, most=fault_points)
        names = "a system call fails: " + ", ".join(faults.ERRORS)
        made.append(_section(names, f"faults {config} {plain}", find, plain=plain))
    made.append(_section("file system filled in 1 KiB steps", "full", _steps))
    made.append(_section("whole runs on a filled file system", "full runs", functools.partial(_runs, plain=False)))
    made.append(_section("whole runs on a filled file system", "full plain", functools.partial(_runs, plain=True), plain=True))
    for fs_type in fault_lab.SIZES:
        for start, config, plain in (
            (Start.FIRST, EMBEDDED, False),
            (Start.UPGRADE, EMBEDDED, False),
            (Start.UPGRADE, MINIMAL, False),
            (Start.REPAIR, MINIMAL, False),
            (Start.UPGRADE, EMBEDDED, True),
        ):
            find = functools.partial(_cuts, fs_type=fs_type, start=start, config=config, plain=plain, most=cuts)
            made.append(_section(f"power cut at a write, {fs_type}", f"cuts {fs_type} {start} {config} {plain}", find, plain=plain))
    made.append(
        _section("two runs at once, of two GRUB versions", "races", functools.partial(_races, plain=False, count=pair_count))
    )
    race = "two runs at once, of two GRUB versions"
    made.append(_section(race, "races", functools.partial(_races, plain=False, count=pair_count)))
    made.append(_section(race, "races plain", functools.partial(_races, plain=True, count=pair_count), plain=True))
    made.extend(_section(row, name, functools.partial(_pytest, name=name)) for name, row in _TESTS.items())
    made.extend(
        _section(f"fuzzed: {parser.what}", f"fuzz {name}", functools.partial(_fuzzed, name=name, seconds=fuzz_seconds))
        for name, parser in TARGETS.items()
    )
    return made


def run_section(section: Section, directory: Path) -> Row:
    """Run one section to its end under `directory`; what it raises counts as broken."""
    start = time.monotonic()
    points = 0
    found: tuple[str, ...] = ()
    try:
        points, found = tally(section.find(directory))
    except Exception as error:  # noqa: BLE001 - one sweep's end must not be that of the others
        found = (f"{section.name}: the sweep itself failed: {type(error).__name__}: {error}",)
    seconds = time.monotonic() - start
    if section.plain:
        return Row(test=section.row, points=0, faults=(), plain_points=points, plain_faults=found, seconds=seconds)
    return Row(test=section.row, points=points, faults=found, seconds=seconds)


def merged(rows: Iterable[Row]) -> list[Row]:
    """One row a test, in the order of their first."""
    table: dict[str, Row] = {}
    for row in rows:
        there = table.get(row.test, Row(test=row.test, points=0, faults=()))
        plain = [each.plain_points for each in (there, row) if each.plain_points is not None]
        table[row.test] = Row(
            test=row.test,
            points=there.points + row.points,
            faults=there.faults + row.faults,
            plain_points=sum(plain) if plain else None,
            plain_faults=there.plain_faults + row.plain_faults,
            seconds=there.seconds + row.seconds,
        )
    return list(table.values())


_TESTS = {
    "test_hostile.py": "hostile --root trees",
    "test_surroundings.py": "/boot unmounted or read-only, odd receipts, clock set back",
    "test_minimal.py": "module directory and second stage change together",
}


def _section(row: str, name: str, find: Callable[..., Found], *, plain: bool = False) -> Section:
    return Section(row=row, name=name.replace("\n", " "), find=find, plain=plain)


def _lab(directory: Path) -> AbstractContextManager[Lab]:
    return fault_lab.lab(directory / "lab")


def _kills(directory: Path, *, start: Start, config: str, plain: bool, most: int) -> Found:
    with _lab(directory) as lab:
        made = scenario.make(lab, start, config=config, plain=plain)
        yield from kills.sweep(lab, made, kills.spread(kills.points(lab, made), most))


def _faults(directory: Path, *, config: str, plain: bool, most: int) -> Found:
    with _lab(directory) as lab:
        made = scenario.make(lab, Start.UPGRADE, config=config, plain=plain)
        yield from faults.sweep(lab, made, kills.spread(kills.points(lab, made), most))


def _steps(directory: Path) -> Found:
    with _lab(directory) as lab:
        yield from full_disk.steps(lab, scenario.make(lab, Start.UPGRADE))


def _runs(directory: Path, *, plain: bool) -> Found:
    with _lab(directory) as lab:
        made = scenario.make(lab, Start.UPGRADE, plain=plain)
        # Up to beyond the peak; grub-install is quick enough for the steps of the first megabytes to be finer.
        yield from full_disk.runs(lab, made, most=5 << 20, step=(43 if plain else 170) * full_disk.KIB)


def _cuts(directory: Path, *, fs_type: str, start: Start, config: str, plain: bool, most: int) -> Found:
    return power_cut.sweep(directory, fs_type, start, config=config, plain=plain, most=most)


def _races(directory: Path, *, plain: bool, count: int) -> Found:
    with _lab(directory) as lab:
        empty = lab.snapshot("empty")
        command = list(scenario.PLAIN) if plain else lab.sync_command()
        yield from races.pairs(lab, empty, command, command, count=count, plain=plain)


def _fuzzed(directory: Path, *, name: str, seconds: float) -> Found:
    return fuzz.guided(name, seconds, directory)


def _pytest(directory: Path, *, name: str) -> Found:
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rA", f"--basetemp={directory}/pytest", f"tests/reliability/{name}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=1800, check=False)
    for line in done.stdout.splitlines():
        if result := re.match(r"(PASSED|FAILED|ERROR) tests/", line):
            yield "" if result[1] == "PASSED" else line
