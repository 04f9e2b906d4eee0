# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair that a package asked for: whether it is this guest's business, and what came of it."""

import sys
from contextlib import AbstractContextManager

from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, NotApplicableError
from guest_hooks.machine import doer, fingerprint, guest, streams
from guest_hooks.machine.config_files import configuration
from guest_hooks.machine.root import Root
from guest_hooks.origin import By
from guest_hooks.program import PROGRAM
from guest_hooks.report import as_journal, messages, progress, reasons
from guest_hooks.report.styles import style_of
from guest_hooks.survey import kernel_images, plan
from guest_hooks.sync import copy_kernels, sync
from guest_hooks.sync.result import Request, Result
from guest_hooks.targets import Target

LOCK_TIMEOUT = 300.0
"""Seconds; a hook may meet the service's own repair, which on XFS may take minutes, and nobody
is there to try again.
"""


def repaired(root: Root, hook: str) -> ExitCode:
    """Sync where there is something to do; raises what kept a required target from it."""
    synced(root, hook)
    return ExitCode.OK


def synced(root: Root, hook: str) -> Result | None:
    """As `repaired`: what came of the sync, None where there was nothing to do."""
    config = configuration(root)
    if not is_ours(root, config) or fingerprint.holds():
        return None
    result = sync(root, config, Request(automatic=True, lock_timeout=LOCK_TIMEOUT), step=step)
    report_and_raise(result, doer.of_hook(hook))
    return result


def copied(root: Root, hook: str) -> ExitCode:
    """Make the copies of kernels for PV that are lacking; nothing that fails here is worse than
    without them, and so it is only said.
    """
    config = configuration(root)
    if is_ours(root, config):
        request = Request(automatic=True, lock_timeout=LOCK_TIMEOUT)
        result = copy_kernels(root, config, request, step=step)
        report_and_raise(result, doer.of_hook(hook))
    return ExitCode.OK


def step(what: str) -> AbstractContextManager[None]:
    """Show a step that takes its time to whoever watches the package manager."""
    return progress.shown(what, sys.stderr)


def report_and_raise(result: Result, by: By) -> None:
    """Say what a sync `by` somebody came to; of what kept required targets from it the first is
    raised, for its caller to say.
    """
    lines = reasons.changes_text(result.changes, dry_run=result.is_held)
    if result.is_held:
        lines += [reasons.ON_HOLD] if lines else []
        streams.say(f"{PROGRAM}: {line}" for line in lines)
        return
    as_journal.tell(result, by)
    streams.say(f"{PROGRAM}: {line}" for line in lines)
    streams.say(messages.warnings_text(as_journal.warnings(result), style_of(sys.stderr)))
    for failure in result.failures[1:]:
        streams.say(messages.error_text(failure, style_of(sys.stderr)))
    for failure in result.failures[:1]:
        raise failure


def is_ours(root: Root, config: Config) -> bool:
    """Whether this is a guest with a second stage, and the running system.

    A container or chroot shows the /sys/hypervisor of a host that boots otherwise. A target that is
    named is wanted anyway.
    """
    if config.targets == (plan.AUTO,) and (guest.is_container(root) or guest.is_chroot(root)):
        return False
    return own_targets(root, config) != []


def own_targets(root: Root, config: Config) -> list[Target]:
    """The targets that this guest or its configuration wants; none where it has no second stage."""
    try:
        wanted = plan.wanted(guest.detect(root), config, (), kernel_images.names(root))
    except NotApplicableError:
        return []
    return [want.target for want in wanted]
