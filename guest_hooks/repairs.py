# SPDX-License-Identifier: GPL-3.0-or-later
"""The automatic repairs as reports show them: how the service that makes them is, and a hold."""

import math
import time

from guest_hooks.records import dataclass

NEVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The repair service. Times are UTC as `2026-01-31T12:00:00Z`, or empty for "not yet".

    `phase` is what it is doing (`pacing.Phase`), `look` what its last look found and `is_well` that
    it was nothing, `repair` what its last repair came to, `retry` when what resisted is tried
    again, `troubles` what it cannot do or has met, one sentence each.
    """

    running: bool = False
    pid: int = 0
    since: str = ""
    phase: str = ""
    look_at: str = ""
    look: str = ""
    is_well: bool = False
    repair_at: str = ""
    repair: str = ""
    retry_at: str = ""
    watches: int = 0
    overflows: int = 0
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """That no automatic run changes anything: since when, until when (`NEVER`: until it is taken
    back) and by whom; times are seconds since the epoch.
    """

    since: float
    until: float = NEVER
    by: str = ""


def utc(seconds: float) -> str:
    """A point in time (seconds since the epoch) as reports write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds(text: str) -> float | None:
    """The point in time that `utc` wrote as `text`, in seconds since the epoch; None for none."""
    import calendar  # noqa: PLC0415 - only for who shows it

    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None
