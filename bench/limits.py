# SPDX-License-Identifier: GPL-3.0-or-later
"""What is promised of speed and memory, and what a measurement came to beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most that one figure may be; `unit` is empty for a ratio or a count."""

    name: str
    what: str
    most: float
    unit: str = ""


LIMITS = (
    Limit(name="version", what="`--version` / `python3 -c pass`", most=5),
    Limit(name="detect", what="`detect` / `python3 -c pass`", most=6),
    Limit(name="sync-nothing", what="`sync` with nothing to do / `python3 -c pass`", most=1.5),
    Limit(
        name="sync-nothing-named",
        what="`sync --target` with nothing to do / `python3 -c pass`",
        most=1.5,
    ),
    Limit(
        name="sync-nothing-writes",
        what="system calls that write, of a `sync` with nothing to do",
        most=0,
    ),
    Limit(
        name="sync-full",
        what="`sync` that runs grub-install / bare grub-install, same modules",
        most=1.3,
    ),
    Limit(
        name="sync-uuid",
        what="second stage for another UUID: `sync --no-update-grub` / bare grub-install",
        most=0.6,
    ),
    Limit(
        name="sync-clone",
        what="`sync` of a clone, menu included / bare grub-install and update-grub",
        most=1.3,
    ),
    Limit(
        name="sync-repair",
        what="`sync` that puts back a deleted second stage / bare grub-install",
        most=0.5,
    ),
    Limit(
        name="sync-repair-programs",
        what="programs that a `sync` starts to put back a deleted second stage",
        most=10,
    ),
    Limit(
        name="sync-opens",
        what="most times that a full `sync` opens one file of GRUB's to read it",
        most=2,
    ),
    Limit(
        name="wrapper",
        what="grub-install for another target: the wrapper beyond bash's start",
        most=10,
        unit="ms",
    ),
    Limit(name="inspect", what="`inspect` of a second stage of 2 MB", most=80, unit="ms"),
    Limit(
        name="inspect-hostile-time",
        what="`inspect` of a hostile file / of a real one of its size, time",
        most=3,
    ),
    Limit(
        name="inspect-hostile-memory",
        what="`inspect` of a hostile file / of a real one of its size, memory",
        most=3,
    ),
    Limit(
        name="preflight-cold",
        what="`preflight`, three kernels, first run, /boot not in the page cache",
        most=900,
        unit="ms",
    ),
    Limit(name="preflight-again", what="`preflight` again, nothing changed", most=150, unit="ms"),
    Limit(
        name="pv-kernel",
        what="processor time of the hook that makes the copy of trixie's kernel for PV",
        most=3,
        unit="s",
    ),
    Limit(
        name="growth",
        what="the power of kernels, disks or files in /boot that a verb's time grows with, at most",
        most=1,
    ),
    Limit(
        name="service-wakeups",
        what="the service's wakeups a minute beyond its watchdog's pings",
        most=0,
    ),
    Limit(name="service-memory", what="the service's resident memory", most=25, unit="MB"),
    Limit(
        name="service-repair",
        what="the service puts back a deleted second stage, median",
        most=0.4,
        unit="s",
    ),
    Limit(name="service-burst", what="syncs that a burst of 10,000 events costs", most=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure, in its limit's unit, with what it was made from."""

    value: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit and its figure; none where nothing was measured, which is no limit kept."""

    limit: Limit
    measured: Measured | None

    @property
    def is_kept(self) -> bool:
        """Whether the figure is there and not above the limit."""
        return self.measured is not None and self.measured.value <= self.limit.most


def judged(figures: Mapping[str, Measured], limits: Iterable[Limit] = LIMITS) -> tuple[Row, ...]:
    """A row for each limit. A figure that no limit speaks of is an error of whoever measured it."""
    rows = tuple(Row(limit=limit, measured=figures.get(limit.name)) for limit in limits)
    if unknown := figures.keys() - {row.limit.name for row in rows}:
        raise KeyError(", ".join(sorted(unknown)))
    return rows


def with_others(limits: Iterable[Limit], others: Mapping[str, float]) -> tuple[Limit, ...]:
    """The limits with other values for those that are named."""
    changed = tuple(replace(limit, most=others.get(limit.name, limit.most)) for limit in limits)
    if unknown := others.keys() - {limit.name for limit in changed}:
        raise KeyError(", ".join(sorted(unknown)))
    return changed


def markdown(rows: Iterable[Row]) -> str:
    """The table, and below it the limits that are not kept."""
    lines = ["| what | measured | at most | kept |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.limit.what} | {_shown(row)} | {_number(row.limit.most, row.limit.unit)} |"
        f" {_word(row)} |"
        for row in rows
    ]
    missed = [row.limit.name for row in rows if not row.is_kept]
    lines += ["", f"Not kept: {', '.join(missed)}." if missed else "Every limit is kept."]
    return "\n".join(lines) + "\n"


def _word(row: Row) -> str:
    return "yes" if row.is_kept else "**no**"


def _shown(row: Row) -> str:
    if row.measured is None:
        return "not measured"
    detail = f" ({row.measured.detail})" if row.measured.detail else ""
    return _number(row.measured.value, row.limit.unit) + detail


def _number(value: float, unit: str) -> str:
    number = f"{value:.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2f}"
    return f"{number} {unit}".rstrip()
