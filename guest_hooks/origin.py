# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what was done to the boot files."""

from enum import StrEnum

from guest_hooks.records import dataclass


class Doer(StrEnum):
    """By whom a boot file was changed."""

    HOOK = "hook"
    SERVICE = "service"
    TIMER = "timer"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who did something, and its name: the hook and its package, or the person's user name."""

    doer: Doer
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the journal about that; `time` is in seconds since the epoch, a field that the
    entry lacks is empty.
    """

    time: float
    outcome: str
    message: str
    path: str = ""
    target: str = ""
    cause: str = ""
    hint: str = ""
    before: str = ""
    after: str = ""
    by: str = ""
    by_name: str = ""
