# SPDX-License-Identifier: GPL-3.0-or-later
"""Each error that ends a run names the next step."""

import ast
from collections.abc import Iterator
from pathlib import Path

from guest_hooks import errors
from guest_hooks.errors import FormatError, GuestHooksError
from tests.support.checkout import CHECKOUT

ENDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type)
    and issubclass(kind, GuestHooksError)
    and not issubclass(kind, FormatError)  # a verdict on bytes: the problem made of it has the step
}


def raised(path: Path) -> Iterator[ast.Call]:
    """Where a module makes such an error."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ENDS:
            yield node


def test_every_error_names_the_next_step() -> None:
    modules = (CHECKOUT / "guest_hooks").rglob("*.py")
    calls = [(path.name, call) for path in modules for call in raised(path)]
    assert len(calls) > 60
    bare = [
        f"{name}:{call.lineno}"
        for name, call in calls
        if "hint" not in {keyword.arg for keyword in call.keywords}
    ]
    assert bare == []
