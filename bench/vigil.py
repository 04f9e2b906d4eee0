# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service and the loop beside it came to, as figures that have limits and as a
table; pure.
"""

import math
import statistics
from dataclasses import dataclass

from bench.limits import Measured

REPAIRS = 9
"""With the one at boot as many as `guest_hooks.daemon.pacing` takes for no crowd: what is undone
more often it holds back, for 10 s at first, and that is no figure of how fast it is.
"""
EVENTS = 10_000
PING_SECONDS = 90
"""Half of the unit's WatchdogSec."""
HELD_BACK = (
    "Nine, and a service started anew before the 10,000 files: with the repair at boot, one more"
    " within ten minutes would be held back for 10 s, as something undoes them."
)
WAKEUPS_OF_EVENT = 2
"""It comes, and its quiet time ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one side came to; times in seconds, memory in MiB, `wakeups` as counted."""

    wakeups: int
    block_events: int
    rss: float
    pss: float
    back: tuple[float, ...]
    syncs: int
    burst_cpu: float
    stop: float = 0.0


def figures(ours: Figures, idle: float) -> dict[str, Measured]:
    """What there are limits of."""
    # Each ping is a wakeup, and the time may hold one more than its length suggests.
    pings = math.ceil(idle / PING_SECONDS)
    beyond = max(0, ours.wakeups - pings - WAKEUPS_OF_EVENT * ours.block_events)
    counted = (
        f"{ours.wakeups} in {idle:g} s, with {pings} pings and {ours.block_events} events of block"
        " devices"
    )
    return {
        "service-wakeups": Measured(value=beyond / idle * 60, detail=counted),
        "service-memory": Measured(value=ours.rss * (1 << 20) / 1e6),
        "service-repair": Measured(
            value=statistics.median(ours.back), detail=f"worst {max(ours.back):.2f} s"
        ),
        "service-burst": Measured(value=ours.syncs),
    }


def table(ours: Figures, theirs: Figures, idle: float) -> str:
    """Both sides."""
    rows = [
        (
            f"wakeups a minute, over {idle:g} s of idleness",
            *(f"{side.wakeups / idle * 60:.2f}" for side in (ours, theirs)),
        ),
        (
            "block-device events of this machine in that time",
            f"{ours.block_events}",
            f"{theirs.block_events}",
        ),
        ("resident memory, MiB", f"{ours.rss:.1f}", f"{theirs.rss:.1f}"),
        ("proportional memory, MiB", f"{ours.pss:.1f}", f"{theirs.pss:.1f}"),
        (
            f"deleted second stage back, s: median of {REPAIRS}",
            *(f"{statistics.median(side.back):.2f}" for side in (ours, theirs)),
        ),
        (
            f"deleted second stage back, s: worst of {REPAIRS}",
            *(f"{max(side.back):.2f}" for side in (ours, theirs)),
        ),
        (f"syncs that {EVENTS:,} touched files cost", f"{ours.syncs}", f"{theirs.syncs}"),
        ("its own processor time meanwhile, s", f"{ours.burst_cpu:.2f}", "-"),
        ("systemctl stop, s", f"{ours.stop:.2f}", "-"),
    ]
    lines = [
        "| | service | inotifywait |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join([*lines, "", HELD_BACK]) + "\n"
