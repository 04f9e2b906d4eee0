# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that spares a run what an earlier one has learnt, and that decides nothing: a damaged, old
or missing one reads as empty.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine.root import Root


def load(root: Root, path: str, *, version: int, key: str, limit: int) -> dict[str, Any]:
    """The table that `save` has put under `key`; empty where there is none of this `version`, or
    where it is larger than `limit` bytes.
    """
    try:
        table = json.loads(root.content(path, limit=limit) or b"")
    except (ValueError, RecursionError):
        return {}
    if (
        not isinstance(table, dict)
        or table.get("version") != version
        or not isinstance(table.get(key), dict)
    ):
        return {}
    return dict(table[key])


def save(root: Root, path: str, *, version: int, key: str, table: Mapping[str, Any]) -> None:
    """Write `table`; no right to, or no room, is no fault: the next run learns it again."""
    data = json.dumps({"version": version, key: table}, separators=(",", ":")).encode()
    with suppress(OSError, GuestHooksError):
        root.make_dirs(os.path.dirname(path))
        with root.parent(path) as (directory, name):
            # In place: a cut-off cache is thrown away by whoever reads it next.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "wb") as file:
                file.write(data)
