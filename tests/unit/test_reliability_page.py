# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of reliability's figures: each row carries its own measurement, and one that is
measured again replaces no other.
"""

from pathlib import Path

from tests.reliability import measured
from tests.reliability.document import document
from tests.reliability.measured import Source
from tests.reliability.table import Row
from tests.support.checkout import CHECKOUT

OLD = Source(commit="0123abc", date="2026-01-31", kernel="6.1", grub="grub-install 2.06")
NEW = Source(commit="4567def+", date="2026-02-28", kernel="6.12", grub="grub-install 2.12")


def row(test: str, points: int) -> Row:
    return Row(
        test=test,
        points=points,
        faults=(),
        plain_points=3,
        plain_faults=("it is cut off",),
        seconds=60,
    )


def cells(page: str, test: str) -> list[str]:
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {test} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_measured_again_leaves_the_others_with_their_commit_and_day(tmp_path: Path) -> None:
    for test in ("kills, on XFS", "cuts"):
        measured.save(row(test, 5), OLD, tmp_path)
    measured.save(row("cuts", 7), NEW, tmp_path)
    page = document(measured.load(["kills, on XFS", "never measured", "cuts", "cuts"], tmp_path))
    assert cells(page, "kills, on XFS") == [
        "kills, on XFS",
        "5",
        "0",
        "3",
        "1",
        "2026-01-31, 0123abc",
    ]
    assert cells(page, "cuts") == ["cuts", "7", "0", "3", "1", "2026-02-28, 4567def+"]
    assert "never measured" not in page
    assert "Linux 6.1, 6.12; grub-install 2.06, grub-install 2.12;" in page


def test_what_was_measured_is_what_is_kept(tmp_path: Path) -> None:
    measured.save(row("cuts", 5), OLD, tmp_path)
    assert [(each.row, each.source) for each in measured.load(["cuts"], tmp_path)] == [
        (row("cuts", 5), OLD)
    ]


def test_the_page_is_made_of_what_is_kept() -> None:
    page = (CHECKOUT / "docs/reliability.md").read_text()
    kept = {path.name for path in measured.DIRECTORY.iterdir()}
    rows = [
        line.split(" | ")[0].strip("| ")
        for line in page.split("\n## ")[0].splitlines()
        if line.startswith("| ")
    ][1:]
    assert kept == {path.name for each in rows if (path := measured.kept_at(each)).exists()}
    assert page == document(measured.load(rows))
