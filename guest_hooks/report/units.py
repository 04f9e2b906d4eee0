# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as people read them: sizes in KiB and MiB, local times with an age."""

import math
import time

KIB = 1024
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_STEPS = ((DAY, "days"), (HOUR, "h"), (MINUTE, "min"), (1.0, "s"))


def size(count: int) -> str:
    """`count` bytes: `2.8 MiB`."""
    if count < KIB:
        return f"{count} B"
    exponent = min(int(math.log(count, KIB)), 4)
    value = count / KIB**exponent
    return (
        f"{value:.1f} {'KMGT'[exponent - 1]}iB"
        if value < 100
        else f"{value:.0f} {'KMGT'[exponent - 1]}iB"
    )


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
    step, name = next(row for row in _STEPS if away >= row[0])
    count = int(away // step)
    words = f"{count} {'day' if name == 'days' and count == 1 else name}"
    return f"in {words}" if seconds > 0 else f"{words} ago"
