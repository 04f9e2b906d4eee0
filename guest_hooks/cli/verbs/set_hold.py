# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs `hold` and `unhold`."""

import time

from guest_hooks.cli.session import Session
from guest_hooks.cli.times import until
from guest_hooks.errors import ExitCode
from guest_hooks.machine import doer
from guest_hooks.machine.config_files import configuration
from guest_hooks.program import UNHOLD
from guest_hooks.report import hold_json
from guest_hooks.report.repair_text import hold_text
from guest_hooks.sync.holding import hold_repairs, release_repairs

OFF = "They stay off: the configuration has repair = false."


def set_hold(session: Session) -> ExitCode:
    """Hold the automatic repairs."""
    options = session.options
    repair = configuration(session.root, options.config).repair
    end = None if options.until is None else until(options.until)
    held = hold_repairs(
        session.root, until=end, by=doer.of_command(), lock_timeout=options.lock_timeout
    )
    session.answer(hold_json.hold_json(held, repair=repair))
    session.note(
        [
            f"Automatic repairs: {hold_text(held, time.time())}.",
            f"To end it: {session.given.step(UNHOLD)}",
        ]
    )
    return ExitCode.OK


def end_hold(session: Session) -> ExitCode:
    """Let automatic repairs go on."""
    repair = configuration(session.root, session.options.config).repair
    was_held = release_repairs(
        session.root, by=doer.of_command(), lock_timeout=session.options.lock_timeout
    )
    session.answer(hold_json.hold_json(None, repair=repair))
    words = "Automatic repairs are on again."
    if not was_held:
        words = "Nothing to do: automatic repairs are not on hold."
    session.note([words, *([] if repair else [OFF])])
    return ExitCode.OK
