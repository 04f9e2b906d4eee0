# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `inspect`: what a file is."""

import sys

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.records import replace
from guest_hooks.report.inspection_json import inspection_json
from guest_hooks.report.inspection_text import inspection_text
from guest_hooks.survey import image_files


def inspect_files(session: Session) -> ExitCode:
    """Print what each file is."""
    # A line a file is what a pipe is for.
    style = session.style if sys.stdout.isatty() else replace(session.style, width=0)
    found = [image_files.inspect(path) for path in session.options.files]
    for each in found:
        session.answer(inspection_json(each))
        session.say(inspection_text(each, style))
    return ExitCode.OK
