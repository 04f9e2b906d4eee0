# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `watch`: the repair service in the foreground."""

import sys

from guest_hooks.cli.session import Session
from guest_hooks.daemon import watcher
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.machine import streams
from guest_hooks.program import PROGRAM


def run_watch(session: Session) -> ExitCode:
    """Watch and repair until a signal ends it."""
    if not session.root.is_live:
        raise UsageError(
            "watch is for the running system alone",
            hint="repair an image with: xen-guest-bootloader sync --root DIR",
        )
    if sys.stderr.isatty() and not session.options.quiet:
        streams.say([f"Watching until Ctrl-C; to see what is repaired: {PROGRAM} log"])
    return watcher.watch(session.options.config)
