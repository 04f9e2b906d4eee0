# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sweeps found, as rows of one table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEADER = (
    "test",
    "points tried",
    "broken: ours",
    "`grub-install`: points",
    "broken: `grub-install`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sweep; `faults` says what was broken of ours, `plain_*` what the same did to
    `grub-install` (None: does not apply).
    """

    test: str
    points: int
    faults: tuple[str, ...]
    plain_points: int | None = None
    plain_faults: tuple[str, ...] = ()
    seconds: float = 0.0


def tally(results: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """How many points there were, and what was broken."""
    found = list(results)
    return len(found), tuple(fault for fault in found if fault)


def markdown(rows: Sequence[Row], measured: Sequence[str] = ()) -> str:
    """The rows as a table; `measured`, when and at which commit each was, makes a last column."""
    column = (
        (("measured",), *((each,) for each in measured)) if measured else ((),) * (len(rows) + 1)
    )
    cells = [line + last for line, last in zip((HEADER, *map(_cells, rows)), column, strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    plain = (
        ("-", "-")
        if row.plain_points is None
        else (str(row.plain_points), str(len(row.plain_faults)))
    )
    return (row.test, str(row.points), str(len(row.faults)), *plain)
