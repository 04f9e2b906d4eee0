# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `rollback`: the previous second stage in the place of the present one."""

from dataclasses import replace

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.machine import doer, streams
from guest_hooks.machine.config_files import configuration
from guest_hooks.report import as_journal, as_json, messages, reasons
from guest_hooks.sync.rollback import rollback


def put_back(session: Session) -> ExitCode:
    """Put it back and say so."""
    config = configuration(session.root, session.options.config)
    with session.step("Putting back the second stage before this one"):
        result = rollback(
            session.root, config, session.options.target, lock_timeout=session.options.lock_timeout
        )
    if session.root.is_live:
        as_journal.tell(result, doer.of_command())
    result = replace(result, status=session.given.status(result.status))
    session.answer(as_json.sync_json(result.status, result.changes, result.failures))
    session.note(
        reasons.changes_text(result.changes, dry_run=False)
        or ["Nothing to do: the two are the same."]
    )
    streams.say(messages.warnings_text(as_journal.warnings(result), session.error_style))
    return ExitCode.OK
