# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `status`: how the guest is, and whether its next boot works."""

import os
import time

from guest_hooks import terminal
from guest_hooks.cli.session import Session, stdout
from guest_hooks.errors import ExitCode, NotApplicableError, UsageError
from guest_hooks.machine import guest, hold, service, streams
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.config_files import configuration
from guest_hooks.preflight.next_boot import preflight
from guest_hooks.program import PROGRAM
from guest_hooks.report import as_json, as_metrics, boot_chain, guest_text, hold_json, messages
from guest_hooks.report.status_screen import Scene, status_screen
from guest_hooks.survey.outlook import Outlook
from guest_hooks.survey.status import survey


def show_status(session: Session) -> ExitCode:
    """Print it as lines, JSON or metrics."""
    if session.options.metrics and session.options.json:
        raise UsageError(
            "--metrics and --json are two forms of one answer", hint=f"see: {PROGRAM} status --help"
        )
    config = configuration(session.root, session.options.config)
    try:
        memory = Memory(session.root)
        status = survey(session.root, config, targets=session.options.target, memory=memory).status
    except NotApplicableError as error:
        if session.options.metrics:
            raise
        session.given.error(error)
        session.answer(as_json.no_status_json(guest.detect(session.root), error))
        session.say(guest_text.guest_text(guest.detect(session.root), session.style))
        streams.say(messages.error_text(error, session.error_style))
        return error.exit_code
    watcher = service.read(session.root) if session.root.is_live else None
    held = hold.load(session.root)
    next_boot = None
    if os.geteuid() == 0:
        with session.step("Following the next boot"):
            next_boot = preflight(session.root, config, status, memory=memory)
        if session.root.is_live:  # nothing is left in an image
            memory.save()
    given = session.given.with_package(status)
    status = given.status(status)
    next_boot = given.preflight(next_boot) if next_boot else None
    outlook = Outlook(status=status, next_boot=next_boot)
    if session.options.metrics:
        with stdout():
            found = as_metrics.text(outlook, watcher, held is not None or not config.repair)
            print(terminal.printable_lines(found), end="", flush=True)
        return outlook.exit_code
    repair = hold_json.repair_json(held, repair=config.repair)
    session.answer({**boot_chain.outlook_json(outlook, watcher), "repair": repair})
    scene = Scene(
        status=status,
        next_boot=next_boot,
        service=watcher,
        hold=held,
        repair=config.repair,
        given=session.given,
        now=time.time(),
    )
    session.say(status_screen(scene, session.style), is_wrong=not outlook.ok)
    return outlook.exit_code
