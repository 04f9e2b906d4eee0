# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration in force, as TOML with the file of each value beside it, and as an object for
`--json`.
"""

import json
from collections.abc import Mapping
from typing import Any

from guest_hooks.report.as_json import SCHEMA

DEFAULT = "default"


def config_json(values: Mapping[str, object], came_from: Mapping[str, str]) -> dict[str, Any]:
    """What `config --json` prints; `came_from` has the file of each key that is in one."""
    rows = {
        key: {"value": _plain(value), "file": came_from.get(key)} for key, value in values.items()
    }
    return {"schema": SCHEMA, "config": rows}


def config_text(values: Mapping[str, object], came_from: Mapping[str, str]) -> list[str]:
    """A line for each key, which is TOML as it stands in a configuration file."""
    rows = [
        (f"{key} = {_toml(value)}", came_from.get(key, DEFAULT)) for key, value in values.items()
    ]
    width = max((len(line) for line, _ in rows), default=0)
    return [f"{line:<{min(width, 44)}}  # {file}" for line, file in rows]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _toml(value: object) -> str:
    """A value as TOML: what JSON writes for the types that a key can have is TOML, too."""
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() and value < 1e15 else repr(value)
    return json.dumps(_plain(value))
