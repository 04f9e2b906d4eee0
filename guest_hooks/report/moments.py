# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time as people read them: local, with an age."""

import time

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_STEPS = ((DAY, "days"), (HOUR, "h"), (MINUTE, "min"), (1.0, "s"))


def moment(seconds: float, now: float) -> str:
    """A point in time (since the epoch) in local time, with its distance from `now`: `14:40 (2 min
    ago)`.
    """
    return f"{clock(seconds, now)} ({_distance(seconds - now)})"


def clock(seconds: float, now: float) -> str:
    """A point in time in local time, with the day where that is not `now`'s."""
    there, here = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)


def _distance(seconds: float) -> str:
    away = abs(seconds)
    if away < 1:
        return "now"
    # From about two of a unit on: less says too little when rounded.
    step, name = next((row for row in _STEPS if away >= 1.95 * row[0]), _STEPS[-1])
    words = f"{round(away / step)} {name}"
    return f"in {words}" if seconds > 0 else f"{words} ago"
