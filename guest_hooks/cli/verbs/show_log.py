# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `log`: what was done to the boot files."""

import shlex
import time

from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.machine import journal_entries
from guest_hooks.machine.streams import say
from guest_hooks.report import log_text

NOT_ALL = "xen-guest-bootloader: only root and the groups adm and systemd-journal see all entries"


def show_log(session: Session) -> ExitCode:
    """The last entries of the journal that are about the boot files."""
    if not session.root.is_live:
        raise UsageError(
            "log is for the running system",
            hint=f"journalctl --root {shlex.quote(session.root.path)} -t xen-guest-bootloader",
        )
    found = journal_entries.read(session.options.lines)
    session.answer(log_text.log_json(found))
    words = log_text.log_text(found, time.time(), session.style)
    session.say(words or ["The journal has no entry about the boot files."])
    if not journal_entries.is_all_readable():
        say([NOT_ALL])
    return ExitCode.OK
