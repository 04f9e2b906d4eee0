# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths in docs/architecture.md: ten steps each, through modules that are there, downward."""

import re
from functools import cache

import pytest

from tests.support import layer_rules, sources
from tests.support.checkout import CHECKOUT
from tests.support.layer_rules import MODULES

PAGE = (CHECKOUT / "docs/architecture.md").read_text()
PATHS = ("One sync", "One preflight", "One event of the repair service")
NAME = re.compile(r"`([a-z_]\w*(?:\.\w+)*)`")


def steps(path: str) -> list[str]:
    text = PAGE.split(f"## {path}\n")[1].split("\n## ")[0]
    return re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:]


def module(name: str) -> str:
    """The module that `name` is, or whose function it is."""
    whole = f"guest_hooks.{name}"
    owner, _, function = whole.rpartition(".")
    if whole in MODULES:
        return whole
    assert function in {getattr(each, "name", "") for each in sources.parsed(MODULES[owner]).body}
    return owner


@cache
def reached(starts: tuple[str, ...]) -> frozenset[str]:
    """Every module that one of `starts` imports, or what it imports does."""
    found: set[str] = set()
    due = list(starts)
    while due:
        each = due.pop()
        if each in MODULES and each not in found:
            found.add(each)
            due += layer_rules.imported(sources.parsed(MODULES[each]), each)
    return frozenset(found)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_goes_down_through_modules_that_are_there(path: str) -> None:
    assert len(steps(path)) == 10
    first, *others = [tuple(map(module, NAME.findall(step))) for step in steps(path)]
    assert [name for names in others for name in names if name not in reached(first)] == []
