# SPDX-License-Identifier: GPL-3.0-or-later
"""The hold: an admin's word that no automatic run changes anything, until a time or until it is
taken back.
"""

import json
import time

from guest_hooks.machine import durable, lock
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.paths import STATE_DIR
from guest_hooks.repairs import NEVER, Hold

PATH = f"{STATE_DIR}/hold.json"
SCHEMA = 1
MAX_SIZE = 4096


def load(root: Root, *, now: float | None = None) -> Hold | None:
    """The hold that is in force at `now`, by default at this moment; None where there is none, or
    where its time is over.

    A file that can't be understood is a hold without an end: somebody asked for one.
    """
    try:
        hold = _parse(root.read(PATH, limit=MAX_SIZE))
    except (FileNotFoundError, PermissionError):  # root, whom a hold is for, may read it
        return None
    except (OSError, NotRegularError):
        hold = Hold(since=0.0)
    return hold if (time.time() if now is None else now) < hold.until else None


def held_for(root: Root, *, repair: bool, now: float | None = None) -> float:
    """For how many seconds no automatic run may change anything: 0 where it may, `NEVER` without an
    end; `repair` is the configuration's key.
    """
    now = time.time() if now is None else now
    if not repair:
        return NEVER
    hold = load(root, now=now)
    return hold.until - now if hold else 0.0


def save(root: Root, hold: Hold, *, lock_timeout: float) -> None:
    """Put `hold` in force; when this returns, no automatic run is under way. Raises `LockedError`
    where one does not end.
    """
    table = {
        "schema": SCHEMA,
        "since": hold.since,
        "until": None if hold.until == NEVER else hold.until,
        "by": hold.by,
    }
    with lock.held(root, timeout=lock_timeout):
        durable.make_dirs(root, STATE_DIR)
        durable.replace(root, PATH, (json.dumps(table) + "\n").encode())


def release(root: Root, *, lock_timeout: float) -> bool:
    """Take the hold back; whether there was one."""
    if not root.exists(PATH):
        return False
    with lock.held(root, timeout=lock_timeout):
        durable.remove(root, PATH)
    return True


def _parse(data: bytes) -> Hold:
    try:
        table = json.loads(data)
        until = table["until"]
        return Hold(
            since=_moment(table["since"]),
            until=NEVER if until is None else _moment(until),
            by=str(table["by"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return Hold(since=0.0)


def _moment(value: float) -> float:
    """`value` as seconds since the epoch; raises where no calendar has them."""
    time.localtime(value)
    return float(value)
