# SPDX-License-Identifier: GPL-3.0-or-later
"""The sweeps of `make reliability`, each of which can run beside the others, and what they come
to as rows.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import (
    failing_calls,
    faults,
    guest_states,
    never_worse,
    sweeps,
)
from tests.reliability.fuzz_targets import TARGETS
from tests.reliability.kills import Victim
from tests.reliability.scenario import EMBEDDED, MINIMAL, Start
from tests.reliability.sweeps import Found
from tests.reliability.table import Row, tally
from tests.support import fault_lab
from tests.support.debian_tree import RELEASES, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a row: `find` yields one string a point, empty where nothing was broken;
    `plain` is grub-install's side.
    """

    row: str
    name: str
    find: Callable[[Path], Found]
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """How much is tried; `alike` are system calls at one file of many in a module directory,
    for all others are tried anyway.
    """

    kills_alike: int
    kills_minimal: int
    kills_of_child: int
    kills_at_times: int
    faults_alike: int
    faults_minimal: int
    cuts: int
    pairs: int
    looks: int
    fuzz_seconds: int


def all_sections(points: Points) -> list[Section]:
    """Every section."""
    made = [
        *_kill_sections(points),
        *_fault_sections(points),
        *_full_sections(),
        *_cut_sections(points),
        *_race_sections(points),
        *_look_sections(points),
        *_never_worse_sections(),
    ]
    made.extend(
        _section(row, path, functools.partial(sweeps.tested, path=path))
        for path, row in _TESTS.items()
    )
    for name, parser in TARGETS.items():
        find = functools.partial(sweeps.fuzzed, name=name, seconds=points.fuzz_seconds)
        made.append(_section(f"fuzzed: {parser.what}", f"fuzz {name}", find))
    return made


def _kill_sections(points: Points) -> Iterator[Section]:
    for start in Start:
        row = f"killed before a system call, {start}"
        for config, plain in _KINDS:
            alike = 2 if config else points.kills_alike if not plain else 60
            single = points.kills_minimal if config else _ALL
            find = functools.partial(
                sweeps.killed, start=start, config=config, plain=plain, single=single, alike=alike
            )
            yield _section(row, f"kills {start} {_named(config, plain=plain)}", find, plain=plain)
    find = functools.partial(
        sweeps.killed,
        start=Start.UPGRADE,
        config=EMBEDDED,
        plain=False,
        single=10,
        alike=2,
        fs_type="xfs",
    )
    yield _section("killed before a system call, upgrade on XFS", "kills xfs", find)
    for victim in (Victim.CHILD, Victim.ALL):
        for start in (Start.FIRST, Start.UPGRADE):  # a repair starts none
            find = functools.partial(
                sweeps.child_killed, start=start, victim=victim, alike=points.kills_of_child
            )
            yield _section(
                f"at a system call of its grub-install: {victim} killed",
                f"kills child {victim} {start}",
                find,
            )
    for start in Start:
        for config in (EMBEDDED, MINIMAL):
            find = functools.partial(
                sweeps.killed_at_times, start=start, config=config, count=points.kills_at_times
            )
            name = f"kills times {start} {_named(config, plain=False)}"
            yield _section(
                "killed at evenly spread times, alone and with all it started", name, find
            )


def _fault_sections(points: Points) -> Iterator[Section]:
    row = "a system call fails: " + ", ".join(faults.ERRORS)
    for config, plain in _KINDS:
        for error in faults.ERRORS if not config else ("ENOSPC", "EIO"):
            alike = points.faults_alike if not plain else 30
            single = points.faults_minimal if config else _ALL
            find = functools.partial(
                sweeps.failing, config=config, plain=plain, single=single, alike=alike, error=error
            )
            yield _section(row, f"faults {_named(config, plain=plain)} {error}", find, plain=plain)


def _full_sections() -> Iterator[Section]:
    yield _section(
        "file system filled in 1 KiB steps, the commit alone", "full commit", sweeps.filled_in_steps
    )
    row = "file system filled in 1 KiB steps where it matters, whole runs"
    yield _section(row, "full runs", functools.partial(sweeps.filled_in_runs, plain=False))
    yield _section(
        row, "full plain", functools.partial(sweeps.filled_in_runs, plain=True), plain=True
    )


def _cut_sections(points: Points) -> Iterator[Section]:
    for fs_type in fault_lab.SIZES:
        for start, config, plain in (
            (Start.FIRST, EMBEDDED, False),
            (Start.UPGRADE, EMBEDDED, False),
            (Start.UPGRADE, MINIMAL, False),
            (Start.REPAIR, MINIMAL, False),
            (Start.UPGRADE, EMBEDDED, True),
        ):
            find = functools.partial(
                sweeps.cut,
                fs_type=fs_type,
                start=start,
                config=config,
                plain=plain,
                most=points.cuts,
            )
            name = f"cuts {fs_type} {start} {_named(config, plain=plain)}"
            yield _section(
                f"power cut at a write, {_WAYS.get(fs_type, fs_type)}", name, find, plain=plain
            )
            if fs_type == "xfs" and not plain:
                waiting = functools.partial(find, is_closed=False)
                yield _section(
                    "power cut at a write, xfs, waited for",
                    name.replace("xfs", "xfs, waited for,"),
                    waiting,
                )


def _race_sections(points: Points) -> Iterator[Section]:
    row = "two runs at once, of two GRUB versions: "
    half = points.pairs // 2
    yield _section(
        f"{row}sync and sync",
        "races sync",
        functools.partial(sweeps.raced, other="sync", count=half),
    )
    find = functools.partial(sweeps.raced, other="grub-install", count=points.pairs - half)
    yield _section(f"{row}sync and the wrapped `grub-install`", "races grub-install", find)
    find = functools.partial(sweeps.raced, other="plain", count=half)
    yield _section(f"{row}sync and sync", "races plain", find, plain=True)


def _look_sections(points: Points) -> Iterator[Section]:
    for verb in failing_calls.VERBS:
        row = "a look at the tree fails, each verb: EIO, EMFILE, ENOMEM, ELOOP, …"
        yield _section(
            row, f"looks {verb}", functools.partial(sweeps.looking, verb=verb, most=points.looks)
        )


def _never_worse_sections() -> Iterator[Section]:
    # The states are dealt out: what a run makes of one does not depend on the file system, and how
    # it gets there does.
    for suite in RELEASES:
        for number, fs_type in enumerate(fault_lab.SIZES):
            find = functools.partial(_never_worse, suite=suite, fs_type=fs_type, number=number)
            yield _section(
                "a guest in many states, every kind of run: what booted boots",
                f"never worse {suite} {fs_type}",
                find,
            )


def _never_worse(directory: Path, *, suite: Suite, fs_type: str, number: int) -> Found:
    # By their number: a case holds functions that no other process can be sent.
    cases = guest_states.CASES[number :: len(fault_lab.SIZES)]
    return never_worse.sweep(directory, suite, fs_type=fs_type, cases=cases)


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
        return Row(
            test=section.row,
            points=0,
            faults=(),
            plain_points=points,
            plain_faults=found,
            seconds=seconds,
        )
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


_WAYS = {"xfs": "xfs, frozen"}
_KINDS = ((EMBEDDED, False), (MINIMAL, False), (EMBEDDED, True))
_ALL = 10_000
_TESTS = {
    "tests/tree/test_durable.py": (
        "replaced, removed or swept: a user's write under way, settled late, no room"
    ),
    "tests/tree/test_freeze.py": "killed or stopped while a file system is frozen",
    "tests/reliability/test_hostile.py": "hostile --root trees",
    "tests/tree/test_hostile_programs.py": (
        "programs of a hostile --root tree: what they see, reach and leave"
    ),
    "tests/tree/test_terminal_escapes.py": (
        "control characters in a tree's files, names and programs' words: each verb"
    ),
    "tests/tree/test_unmounted.py": "what boot mounts is not mounted, or has files beneath it",
    "tests/tree/test_boot_places.py": (
        "/boot/grub and /boot/xen behind links, bind mounts, subvolumes"
    ),
    "tests/tree/test_image_build.py": "trees that are directories of the builder's file system",
    "tests/reliability/test_surroundings.py": (
        "/boot unmounted or read-only, odd receipts, clock set back"
    ),
    "tests/reliability/test_minimal.py": "module directory and second stage change together",
    "tests/unit/hooks/test_hook_scripts.py": (
        "a package's script, however its program ends: each hook, each way"
    ),
    "tests/unit/machine/test_streams.py": (
        "standard streams closed, full or abandoned: each verb and hook"
    ),
    "tests/package/test_broken_python.py": (
        "Python broken, or the caller's environment hostile: kernels and grub-install"
    ),
    "tests/package/test_diversion.py": (
        "dpkg killed between two steps, and each instant between them: a grub-install that works"
    ),
    "tests/tree/test_bookkeeping.py": "/var or / that takes no note",
    "tests/reliability/long_locks.py": "up to 800,000 locks of another user",
    "tests/service/test_packages.py": "repairs and a package manager at work, in a booted systemd",
    "tests/service/test_surroundings.py": (
        "the service without a journal, with a full one, with locks of others, by hand"
    ),
    "tests/service/long_upgrade.py": (
        "a dist-upgrade to trixie with the watcher running: the disk judged at each change of"
        " /boot, and at twelve of them started on Xen as PV, up to its root"
    ),
}


def _section(row: str, name: str, find: Callable[..., Found], *, plain: bool = False) -> Section:
    return Section(row=row, name=name, find=find, plain=plain)


def _named(config: str, *, plain: bool) -> str:
    return "plain" if plain else "minimal" if config else "embedded"
