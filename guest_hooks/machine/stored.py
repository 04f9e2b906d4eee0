# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as they are kept in JSON, read back: whole and of the right types, or not at all."""

from typing import TypeVar

T = TypeVar("T")
_PLAIN = (str, int, bool, float)


def record(kind: type[T], table: object) -> T | None:
    """The record of `kind` that a JSON object holds. None where a field is missing or of another
    type; fields can be texts, numbers, truth values and tuples of texts.
    """
    if not isinstance(table, dict):
        return None
    found = {name: _value(table.get(name)) for name in kind.__annotations__}
    if all(_fits(found[name], wanted) for name, wanted in kind.__annotations__.items()):
        return kind(**found)
    return None


def _value(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _fits(value: object, wanted: type) -> bool:
    if wanted in _PLAIN:
        return type(value) is wanted
    return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
