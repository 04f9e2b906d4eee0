# SPDX-License-Identifier: GPL-3.0-or-later
"""Every problem code of the program comes from one table, and so do the pages that list them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.problems.row import Actor, Effect, Severity
from guest_hooks.problems.table import GROUPS, TABLE
from tests.support import followed_hints, problem_pages, sources
from tests.support.checkout import CHECKOUT

CODES = list(TABLE.values())


@pytest.mark.parametrize("path", problem_pages.written(), ids=lambda path: path.name)
def test_pages_are_as_the_table_makes_them(path: Path) -> None:
    assert path.read_text() == problem_pages.written()[path], "run: make pages"


def test_codes_are_unique_and_well_formed() -> None:
    assert len(TABLE) == sum(len(group) for group in GROUPS.values())
    assert [code for code in TABLE if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def test_every_row_says_what_it_is_and_what_to_do() -> None:
    assert [code for code in CODES if not code.row.meaning.endswith(".")] == []
    assert [code for code in CODES if not code.row.hint] == []
    assert [code for code in CODES if ("{step}" in code.row.hint) != bool(code.row.step)] == []


def test_what_ends_the_boot_is_an_error() -> None:
    endings = [code for code in CODES if code.row.effect is Effect.ENDS]
    assert [code for code in endings if code.row.severity is not Severity.ERROR] == []


def test_every_step_is_taken_by_a_test_or_has_a_reason() -> None:
    named = (*followed_hints.FOLLOWED, *followed_hints.NOT_FOLLOWED)
    assert [code for code in named if code not in TABLE] == []
    steps = {(TABLE[code].row.hint, TABLE[code].row.step) for code in named}
    here = [code for code in CODES if code.row.actor is not Actor.HOST]
    assert [code for code in here if (code.row.hint, code.row.step) not in steps] == []
    assert [*set(followed_hints.FOLLOWED) & set(followed_hints.NOT_FOLLOWED)] == []


def test_no_row_is_left_over_from_a_check_that_is_gone() -> None:
    used = set().union(*(set(members(path)) for path in sources.modules().values()))
    assert sorted(str(code) for code in CODES if (type(code).__name__, code.name) not in used) == []


def members(path: Path) -> Iterator[tuple[str, str]]:
    """Every `Group.MEMBER` that the module names; the table's own modules name none."""
    for node in ast.walk(sources.parsed(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_what_the_console_shows_is_one_code_span() -> None:
    page = (CHECKOUT / "docs/troubleshooting.md").read_text()
    cells = re.findall(r"^\| (`.*?`) \| `[a-z0-9-]+` \|", page, re.MULTILINE)
    assert len(cells) > 50
    # CommonMark 6.1: a span ends at the first run of as many backticks as began it.
    spans = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
    assert [cell for cell in cells if not spans.fullmatch(cell)] == []
