# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `rollback`: the previous second stage in the place of the present one."""

import time

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.machine import doer, streams
from guest_hooks.machine.config_files import configuration
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import replace
from guest_hooks.report import as_journal, as_json, messages, rollback_text
from guest_hooks.survey.previous import previous
from guest_hooks.sync.rollback import rollback

HELD = SecondStageProblem.HELD_BY_ROLLBACK


def put_back(session: Session) -> ExitCode:
    """Put it back and say so."""
    if session.options.list:
        kept = previous(session.root, session.options.target)
        session.answer(rollback_text.previous_json(kept))
        session.say(session.wrapped(rollback_text.previous_text(kept, time.time())))
        return ExitCode.OK
    config = configuration(session.root, session.options.config)
    with session.step("Putting back the previous second stage"):
        result = rollback(
            session.root, config, session.options.target, lock_timeout=session.options.lock_timeout
        )
    if session.root.is_live:
        as_journal.tell(result, doer.of_command())
    result = replace(result, status=session.given.status(result.status))
    session.answer(as_json.sync_json(result.status, result.changes, result.failures))
    session.note(rollback_text.rollback_text(result.status, result.changes))
    warnings = [each for each in as_journal.warnings(result) if each.code != HELD]
    streams.say(messages.warnings_text(warnings, session.error_style))
    return ExitCode.OK
