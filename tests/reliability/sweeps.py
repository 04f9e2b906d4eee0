# SPDX-License-Identifier: GPL-3.0-or-later
"""What one section of `make reliability` tries, each on a lab of its own."""

import re
import secrets
import subprocess
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.reliability import (
    failing_calls,
    faults,
    full_disk,
    fuzz,
    kills,
    power_cut,
    races,
    scenario,
)
from tests.reliability.kills import Victim
from tests.reliability.scenario import Start
from tests.support import fault_lab
from tests.support.checkout import CHECKOUT
from tests.support.fault_lab import Lab

Found = Iterable[str]


def lab_in(directory: Path, fs_type: str = "ext4") -> AbstractContextManager[Lab]:
    return fault_lab.lab(directory / "lab", fs_type)


def killed(
    directory: Path,
    *,
    start: Start,
    config: str,
    plain: bool,
    single: int,
    alike: int,
    fs_type: str = "ext4",
) -> Found:
    with lab_in(directory, fs_type) as lab:
        made = scenario.make(lab, start, config=config, plain=plain)
        yield from kills.sweep(
            lab, made, kills.spread(kills.points(lab, made), single=single, alike=alike)
        )


def child_killed(directory: Path, *, start: Start, victim: Victim, alike: int) -> Found:
    with lab_in(directory) as lab:
        made = scenario.make(lab, start)
        yield from kills.child_sweep(
            lab,
            made,
            kills.spread(kills.child_points(lab, made), single=alike, alike=alike),
            victim,
        )


def killed_at_times(directory: Path, *, start: Start, config: str, count: int) -> Found:
    with lab_in(directory) as lab:
        yield from kills.timed_sweep(lab, scenario.make(lab, start, config=config), count)


def failing(
    directory: Path, *, config: str, plain: bool, single: int, alike: int, error: str
) -> Found:
    with lab_in(directory) as lab:
        made = scenario.make(lab, Start.UPGRADE, config=config, plain=plain)
        yield from faults.sweep(
            lab, made, kills.spread(kills.points(lab, made), single=single, alike=alike), error
        )


def looking(directory: Path, *, verb: str, most: int) -> Found:
    with lab_in(directory) as lab:
        lab.synced()
        yield from failing_calls.sweep(lab, verb, most)


def filled_in_steps(directory: Path) -> Found:
    with lab_in(directory) as lab:
        yield from full_disk.steps(lab, scenario.make(lab, Start.UPGRADE))


def filled_in_runs(directory: Path, *, plain: bool) -> Found:
    with lab_in(directory) as lab:
        made = scenario.make(lab, Start.UPGRADE, plain=plain)
        yield from full_disk.runs(lab, made, full_disk.levels(lab, made))


def cut(
    directory: Path,
    *,
    fs_type: str,
    start: Start,
    config: str,
    plain: bool,
    most: int,
    is_closed: bool = True,
) -> Found:
    return power_cut.sweep(
        directory, fs_type, start, config=config, plain=plain, most=most, is_closed=is_closed
    )


def raced(directory: Path, *, other: str, count: int) -> Found:
    with lab_in(directory) as lab:
        empty = lab.snapshot("empty")
        plain = list(scenario.PLAIN)
        if other == "plain":
            yield from races.pairs(lab, empty, plain, plain, count=count, plain=True)
        else:
            lab.install_package()
            sync = lab.sync_command()
            yield from races.pairs(
                lab, empty, sync, sync if other == "sync" else plain, count=count
            )


def fuzzed(directory: Path, *, name: str, seconds: int) -> Found:
    return fuzz.guided(name, directory, seconds=seconds, seed=secrets.randbelow(1 << 31))


def tested(directory: Path, *, path: str) -> Found:
    # In a mount namespace of its own, like a worker: another's would keep this one's mounts.
    command = [
        "tests/apart",
        "/usr/bin/python3",
        "-m",
        "pytest",
        "-q",
        "-rA",
        f"--basetemp={directory}/pytest",
        path,
    ]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=1800, check=False
    )
    for line in done.stdout.splitlines():
        if result := re.match(r"(PASSED|FAILED|ERROR) tests/", line):
            yield "" if result[1] == "PASSED" else line
