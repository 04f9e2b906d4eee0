# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `watch`: the repair service in the foreground."""

from guest_hooks.cli.session import Session
from guest_hooks.daemon import watcher
from guest_hooks.errors import ExitCode, UsageError


def run_watch(session: Session) -> ExitCode:
    """Watch and repair until a signal ends it."""
    if not session.root.is_live:
        raise UsageError(
            "watch is for the running system alone",
            hint="repair an image with: xen-guest-bootloader sync --root DIR",
        )
    return watcher.watch(session.options.config)
