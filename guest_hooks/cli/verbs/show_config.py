# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `config`: the values in force, and where each comes from."""

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.machine.config_files import configuration, origins
from guest_hooks.records import asdict
from guest_hooks.report.config_text import config_json, config_text


def show_config(session: Session) -> ExitCode:
    """Every key with its value and the file that it comes from."""
    config = configuration(session.root, session.options.config)
    came_from = origins(session.root, session.options.config)
    session.answer(config_json(asdict(config), came_from))
    session.say(config_text(asdict(config), came_from))
    return ExitCode.OK
