# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look and when to repair: what happened and the time in, what to do out. No clock is
read and nothing is done here.

Whatever happens only ever means "look again". A look finds differences or none; differences lead to
one repair; what a repair changes is seen by one more look. All times are seconds on one clock that
never goes back.
"""

import math
from enum import StrEnum

from guest_hooks.config import Config
from guest_hooks.daemon.events import (
    Action,
    Ended,
    Happening,
    Look,
    News,
    Noticed,
    Reloaded,
    Repair,
    Seen,
    Tell,
    Tick,
    Why,
)
from guest_hooks.records import dataclass, replace

NEVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast.

    `settle`: quiet time before a look, put off by further events to `patience` at most; `closed`:
    the same where whoever wrote a file has closed it. `audit`: time between full checks that no
    event asked for, 0 for none. `blocked`: how often a held lock is tried; `silent`: how long
    before that is told. `retry_first` doubles with each failure up to `retry_longest`. More than
    `crowd` repairs within `window` mean that something undoes them.
    """

    settle: float = 0.3
    closed: float = 0.05
    audit: float = 86400.0
    patience: float = 30.0
    blocked: float = 1.0
    silent: float = 60.0
    retry_first: float = 10.0
    retry_longest: float = 3600.0
    crowd: int = 10
    window: float = 600.0


def of(config: Config) -> Pace:
    """The pace that the configuration asks for."""
    return Pace(settle=config.settle_seconds, audit=config.audit_interval)


class Phase(StrEnum):
    """What is going on: nothing, waiting for quiet, waiting for a lock, a repair."""

    QUIET = "quiet"
    SETTLING = "settling"
    BLOCKED = "blocked"
    REPAIRING = "repairing"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    """All that is remembered between two happenings.

    `due` is the next look, `latest` the end of patience, `asked` what the next look is for, `retry`
    when what resisted is tried again. `blamed` is what the last repair was started for, `cause` why
    it failed, `is_deep` that only an audit found it, `is_hopeful` that something happened which may
    help, `repairs` when repairs were started, `undone` how often in a row there were too many of
    them, `blocked_since` when a lock was met that is held still, `is_block_told` that the admin was
    told of it.
    """

    audit: float
    phase: Phase = Phase.QUIET
    due: float = NEVER
    latest: float = NEVER
    asked: Why = Why.CHANGED
    retry: float = NEVER
    blamed: tuple[str, ...] = ()
    cause: str = ""
    is_deep: bool = False
    is_hopeful: bool = False
    failures: int = 0
    repairs: tuple[float, ...] = ()
    undone: int = 0
    blocked_since: float = NEVER
    is_block_told: bool = False

    @property
    def wake(self) -> float:
        """When `Tick` is wanted next; `NEVER` while a repair runs."""
        return NEVER if self.phase is Phase.REPAIRING else min(self.due, self.retry, self.audit)


Step = tuple[Vigil, tuple[Action, ...]]


def begin(now: float, pace: Pace) -> Vigil:
    """The vigil of a process that has just started: a look is due at once."""
    return Vigil(audit=_audit(now, pace), phase=Phase.SETTLING, due=now, latest=now)


def step(vigil: Vigil, happening: Happening, now: float, pace: Pace) -> Step:
    """What `happening` makes of `vigil` at the time `now`, and what is to be done."""
    match happening:
        case Noticed(is_hopeful, is_closed):
            hoping = replace(vigil, is_hopeful=vigil.is_hopeful or is_hopeful)
            quiet = min(pace.closed, pace.settle) if is_closed else pace.settle
            return _settle(hoping, now, pace, quiet), ()
        case Reloaded():
            return _reload(vigil, now, pace), ()
        case Tick():
            return _tick(vigil, now, pace)
        case Seen():
            if happening.held_for:
                return _hold(vigil, happening, now)
            return _seen(vigil, happening, now, pace)
        case Ended():
            return _ended(vigil, happening, now, pace)


def _audit(now: float, pace: Pace) -> float:
    return now + pace.audit if pace.audit > 0 else NEVER


def _settle(vigil: Vigil, now: float, pace: Pace, quiet: float) -> Vigil:
    if vigil.phase in (Phase.REPAIRING, Phase.BLOCKED):
        return vigil  # a look is due afterwards in any case
    latest = vigil.latest if vigil.phase is Phase.SETTLING else now + pace.patience
    return replace(vigil, phase=Phase.SETTLING, due=min(now + quiet, latest), latest=latest)


def _reload(vigil: Vigil, now: float, pace: Pace) -> Vigil:
    fresh = begin(now, pace)
    if vigil.phase is Phase.REPAIRING:
        return replace(fresh, phase=Phase.REPAIRING, due=NEVER, latest=NEVER, blamed=vigil.blamed)
    return fresh


def _tick(vigil: Vigil, now: float, pace: Pace) -> Step:
    if now < vigil.wake:
        return vigil, ()
    if now >= vigil.audit:
        return replace(vigil, audit=_audit(now, pace), due=NEVER, asked=Why.AUDIT), (Look(),)
    if now >= vigil.retry:
        return replace(vigil, retry=NEVER, due=NEVER, asked=Why.RETRY), (Look(),)
    return replace(vigil, due=NEVER), (Look(),)


def _seen(vigil: Vigil, seen: Seen, now: float, pace: Pace) -> Step:
    why = vigil.asked
    vigil = replace(
        vigil, phase=Phase.QUIET, due=NEVER, latest=NEVER, repairs=_recent(vigil, now, pace)
    )
    if why is Why.VERIFY:
        why = Why.CHANGED
        vigil = replace(
            vigil, asked=why, blamed=seen.differences if vigil.failures else vigil.blamed
        )
    is_hopeful, vigil = vigil.is_hopeful, replace(vigil, is_hopeful=False)
    if (
        why is Why.CHANGED
        and not is_hopeful
        and now < vigil.retry < NEVER
        and _is_known(vigil, seen)
    ):
        return vigil, ()
    if seen.error:
        return _fail(
            replace(vigil, asked=Why.CHANGED), seen.error, now, pace, is_waiting=seen.is_waiting
        )
    if not seen.differences and why is not Why.AUDIT and not vigil.is_deep:
        return _calm(vigil)
    if seen.holder:
        return _block(vigil, seen.holder, now, pace)
    if why is Why.CHANGED and len(vigil.repairs) >= pace.crowd:
        return _crowded(vigil, seen.differences, now, pace)
    repairs = vigil.repairs if why is Why.AUDIT else (*vigil.repairs, now)
    repairing = replace(
        vigil, phase=Phase.REPAIRING, blamed=seen.differences, repairs=repairs, retry=NEVER
    )
    return repairing, (Repair(why=why, differences=seen.differences),)


def _hold(vigil: Vigil, seen: Seen, now: float) -> Step:
    """Wait for the end of the hold; what differs is told once."""
    held = replace(
        vigil,
        phase=Phase.HELD,
        due=now + seen.held_for,
        latest=NEVER,
        asked=Why.CHANGED,
        retry=NEVER,
        blamed=seen.differences,
    )
    if not seen.differences or seen.differences == vigil.blamed:
        return held, ()
    return held, (Tell(news=News.HELD, differences=seen.differences),)


def _is_known(vigil: Vigil, seen: Seen) -> bool:
    """Whether what is seen is what resisted before and has a time for its next try."""
    if seen.error:
        return seen.error == vigil.cause
    return vigil.is_deep or (
        bool(seen.differences) and (seen.differences == vigil.blamed or vigil.undone > 0)
    )


def _ended(vigil: Vigil, ended: Ended, now: float, pace: Pace) -> Step:
    # Its own events have come by now or come within the quiet time: one look answers them all.
    settling = replace(
        vigil, phase=Phase.SETTLING, due=now + pace.settle, latest=now + pace.patience
    )
    if ended.is_locked:
        return _block(settling, ended.error, now, pace)
    settling = replace(settling, asked=Why.VERIFY, blocked_since=NEVER, is_block_told=False)
    if ended.error:
        is_deep = vigil.is_deep or (vigil.asked is Why.AUDIT and not vigil.blamed)
        return _fail(replace(settling, is_deep=is_deep), ended.error, now, pace)
    return replace(settling, is_deep=False), ()


def _block(vigil: Vigil, cause: str, now: float, pace: Pace) -> Step:
    blocked = replace(
        vigil,
        phase=Phase.BLOCKED,
        due=now + pace.blocked,
        blocked_since=min(vigil.blocked_since, now),
    )
    if blocked.is_block_told or now - blocked.blocked_since < pace.silent:
        return blocked, ()
    return replace(blocked, is_block_told=True), (Tell(news=News.BLOCKED, cause=cause),)


def _calm(vigil: Vigil) -> Step:
    calm = replace(
        vigil,
        asked=Why.CHANGED,
        retry=NEVER,
        blamed=(),
        cause="",
        failures=0,
        blocked_since=NEVER,
        is_block_told=False,
    )
    if not calm.repairs:
        calm = replace(calm, undone=0)
    return calm, ((Tell(news=News.MENDED, cause=vigil.cause),) if vigil.failures else ())


def _fail(vigil: Vigil, cause: str, now: float, pace: Pace, *, is_waiting: bool = False) -> Step:
    delay = NEVER if is_waiting else _delay(vigil.failures, pace)
    failing = replace(vigil, cause=cause, failures=vigil.failures + 1, retry=now + delay)
    if vigil.failures and cause == vigil.cause:
        return failing, ()
    return failing, (Tell(news=News.FAILING, cause=cause, differences=vigil.blamed, retry=delay),)


def _crowded(vigil: Vigil, differences: tuple[str, ...], now: float, pace: Pace) -> Step:
    delay = _delay(vigil.undone, pace)
    crowded = replace(vigil, blamed=differences, undone=vigil.undone + 1, retry=now + delay)
    if vigil.undone:
        return crowded, ()
    return crowded, (Tell(news=News.UNDONE, differences=differences, retry=delay),)


def _delay(before: int, pace: Pace) -> float:
    return min(pace.retry_first * 2.0 ** min(before, 32), pace.retry_longest)


def _recent(vigil: Vigil, now: float, pace: Pace) -> tuple[float, ...]:
    return tuple(start for start in vigil.repairs if now - start < pace.window)


LONGEST_WAIT = 86_400.0
"""Seconds; poll(2) takes no more than 24 days of milliseconds."""


def poll_timeout(seconds: float) -> int | None:
    """A wait as poll(2) takes it: none of it is negative or longer than `LONGEST_WAIT`, and
    None is for ever.
    """
    return None if seconds == math.inf else math.ceil(max(0.0, min(seconds, LONGEST_WAIT)) * 1000)
