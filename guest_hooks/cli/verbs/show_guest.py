# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `detect`: which guest this is, and which targets it needs."""

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode, NotApplicableError
from guest_hooks.machine import guest
from guest_hooks.machine.config_files import configuration
from guest_hooks.records import replace
from guest_hooks.report import as_json, guest_text
from guest_hooks.survey import kernel_images, plan


def show_guest(session: Session) -> ExitCode:
    """Print it, with all the evidence."""
    here = guest.detect(session.root)
    config = configuration(session.root, session.options.config)
    kernels = kernel_images.names(session.root)
    try:
        names = [
            want.target.name for want in plan.wanted(here, config, session.options.target, kernels)
        ]
        why = None
    except NotApplicableError as error:
        names, why = [], error
    session.answer(as_json.detect_json(here, names))
    session.say(guest_text.guest_text(here, replace(session.style, verbose=True)))
    session.say([f"targets: {', '.join(names)}"] if why is None else [why.message])
    return ExitCode.OK if why is None else ExitCode.NOT_APPLICABLE
