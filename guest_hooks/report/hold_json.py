# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether automatic runs may change something, as JSON; schema/report.schema.json describes it."""

from typing import Any

from guest_hooks.repairs import NEVER, Hold, utc
from guest_hooks.report.as_json import SCHEMA


def repair_json(hold: Hold | None, *, repair: bool) -> dict[str, Any]:
    """The `repair` object: whether automatic runs may change something, and until when they may
    not; `repair` is the configuration's key.
    """
    state = "held" if hold else "on" if repair else "off"
    until = utc(hold.until) if hold and hold.until != NEVER else ""
    return {
        "state": state,
        "since": utc(hold.since) if hold and hold.since else "",
        "until": until,
        "by": hold.by if hold else "",
    }


def hold_json(hold: Hold | None, *, repair: bool) -> dict[str, Any]:
    """What `hold --json` and `unhold --json` print."""
    return {"schema": SCHEMA, "repair": repair_json(hold, repair=repair)}
