# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time as people write them on a command line; local, unless they say otherwise."""

import re
import time
from contextlib import suppress
from datetime import datetime, timedelta

from guest_hooks.errors import UsageError

FORMS = """18:00, 2026-11-30, '2026-11-30 18:00', tomorrow, 'tomorrow 18:00', 2h, '3 days'"""
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAMES = {"second": "s", "minute": "min", "hour": "h", "day": "d", "week": "w"}
_SPAN = re.compile(r"\+? *(\d{1,9}) *([a-z]+)")
_HOUR = re.compile(r" (\d)(?=:)")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def until(text: str, now: float | None = None) -> float:
    """The time, in seconds since the epoch, that `text` means; of a clock time the next one after
    `now`.

    Raises `UsageError` for what is no time, and for a time that is over.
    """
    now = time.time() if now is None else now
    found = _parsed(text.strip().lower(), datetime.fromtimestamp(now).astimezone())
    if found is None:
        raise UsageError(f"--until: {text!r} is not a time", hint=f"write it as one of: {FORMS}")
    if found <= now:
        raise UsageError(
            f"--until: {text!r} is over already", hint=f"name a time to come, such as: {FORMS}"
        )
    return found


def _parsed(text: str, now: datetime) -> float | None:
    # Suppressed: what is beyond Python's calendar or the kernel's clock.
    with suppress(OverflowError, OSError):
        if span := _SPAN.fullmatch(text):
            unit = _NAMES.get(span[2].removesuffix("s"), span[2])
            return now.timestamp() + int(span[1]) * _UNITS[unit] if unit in _UNITS else None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        if clock := _CLOCK.fullmatch(text):
            today = midnight.replace(hour=int(clock[1]), minute=int(clock[2]))
            days = (_local(today + timedelta(days=day)) for day in range(3))
            return next(at for at in days if at > now.timestamp())
        tomorrow = f"{midnight + timedelta(days=1):%Y-%m-%d}"
        written = _HOUR.sub(r" 0\1", text.replace("tomorrow", tomorrow))
        with suppress(ValueError):
            return _local(datetime.fromisoformat(written.upper().replace(" ", "T", 1)))
    return None


def _local(moment: datetime) -> float:
    """`moment` as seconds since the epoch; local where it names no zone."""
    return moment.timestamp()
