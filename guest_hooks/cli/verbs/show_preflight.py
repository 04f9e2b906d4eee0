# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `preflight`: the next boot, link by link."""

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.machine.config_files import configuration
from guest_hooks.preflight.next_boot import preflight
from guest_hooks.report import boot_chain
from guest_hooks.survey.status import survey


def show_preflight(session: Session) -> ExitCode:
    """Follow it and print what was found."""
    config = configuration(session.root, session.options.config)
    status = survey(session.root, config, targets=session.options.target).status
    answer = preflight(
        session.root, config, status, remember=session.root.is_live
    )  # nothing is left in an image
    answer = session.given.preflight(answer)
    session.answer(boot_chain.preflight_json(answer))
    session.say(boot_chain.preflight_text(answer, session.style))
    return ExitCode.OK if answer.ok else ExitCode.DIFFERS
