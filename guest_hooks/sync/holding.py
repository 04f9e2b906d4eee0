# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the automatic repairs, and let them go on: written down, told to the journal, and to a
repair service that runs.
"""

import os
import signal
import time
from contextlib import suppress

from guest_hooks.errors import LackingError, UsageError
from guest_hooks.machine import hold, journal, service
from guest_hooks.machine.journal import Outcome
from guest_hooks.machine.root import Root
from guest_hooks.origin import By
from guest_hooks.program import PROGRAM
from guest_hooks.repairs import NEVER, Hold


def hold_repairs(root: Root, *, until: float | None, by: By, lock_timeout: float) -> Hold:
    """Put a hold in force until that time (None: until `release_repairs`); no automatic run is
    under way when this returns.
    """
    _require_root(root, "hold")
    held = Hold(since=time.time(), until=NEVER if until is None else until, by=by.name)
    hold.save(root, held, lock_timeout=lock_timeout)
    end = "" if until is None else time.strftime(" until %Y-%m-%d %H:%M %Z", time.localtime(until))
    _announce(root, Outcome.HELD, f"Automatic repairs are on hold{end}.", by)
    return held


def release_repairs(root: Root, *, by: By, lock_timeout: float) -> bool:
    """Take the hold back; whether there was one. A repair service that runs looks at once."""
    _require_root(root, "unhold")
    was_held = hold.release(root, lock_timeout=lock_timeout)
    if was_held:
        _announce(root, Outcome.RELEASED, "Automatic repairs are on again.", by)
    return was_held


def _require_root(root: Root, verb: str) -> None:
    if os.geteuid() != 0:
        raise LackingError(f"{verb} must be run as root", hint=f"sudo {PROGRAM} {verb}")
    if not root.exists("/etc"):
        raise UsageError(
            f"{root.path} is not a guest's tree: it has no /etc",
            hint="name the mount point of the guest's disk",
        )


def _announce(root: Root, outcome: Outcome, message: str, by: By) -> None:
    if not root.is_live:
        return
    if os.path.exists(journal.SOCKET):
        journal.send(outcome, message, by=by)
    running = service.read(root)
    if running.running and running.pid:
        with suppress(OSError):  # it has just ended
            os.kill(running.pid, signal.SIGHUP)
