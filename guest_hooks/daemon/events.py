# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the repair service, and what it is to do about it: the words of `pacing`."""

from enum import StrEnum

from guest_hooks.records import dataclass


class Why(StrEnum):
    """What a look, and then a repair, is for: an event, the time for a full check, another try,
    a repair that has just ended.
    """

    CHANGED = "changed"
    AUDIT = "audit"
    RETRY = "retry"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something happened to the files, the mounts or the block devices; `is_hopeful` where it
    may let a failed repair succeed, `is_closed` where it was to files, and none is being written.
    """

    is_hopeful: bool = False
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """The time `Vigil.wake` has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A look is over: what differs, who holds a lock that a repair must wait for, why the look
    itself failed.

    `is_waiting`: only something that will be noticed, such as a mount, can help; no time is set for
    another try. `held_for`: for so many seconds nothing may be repaired.
    """

    differences: tuple[str, ...] = ()
    holder: str = ""
    error: str = ""
    is_waiting: bool = False
    held_for: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A repair is over; `error` says why it failed, `is_locked` that it only met another run."""

    error: str = ""
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The configuration was read again."""


Happening = Noticed | Tick | Seen | Ended | Reloaded


@dataclass(frozen=True, slots=True)
class Look:
    """Compare cheaply what is there with what was left there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Start the repair."""

    why: Why
    differences: tuple[str, ...] = ()


class News(StrEnum):
    """What is worth an entry of its own."""

    FAILING = "failing"
    UNDONE = "undone"
    MENDED = "mended"
    BLOCKED = "blocked"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Tell the admin; `retry` is in how many seconds the next try comes."""

    news: News
    cause: str = ""
    differences: tuple[str, ...] = ()
    retry: float = 0.0


Action = Look | Repair | Tell
