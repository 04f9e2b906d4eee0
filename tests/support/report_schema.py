# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped JSON Schema as a judge of what the program prints."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.checkout import CHECKOUT

SCHEMA = CHECKOUT / "guest_hooks/schema/report.schema.json"


@cache
def schema() -> dict[str, Any]:
    """The schema as it ships."""
    table = json.loads(SCHEMA.read_text())
    assert isinstance(table, dict)
    return table


def complaints(table: object, definition: str = "") -> list[str]:
    """What the schema says against `table`, as an object of `definition` (a key of `$defs`) or
    of any.
    """
    whole = schema()
    chosen = (
        {"$schema": whole["$schema"], "$ref": f"#/$defs/{definition}", "$defs": whole["$defs"]}
        if definition
        else whole
    )
    return [
        f"{error.json_path}: {error.message}"[:500]
        for error in Draft202012Validator(chosen).iter_errors(table)
    ]
