# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `sync`: what is missing or out of date is made."""

from guest_hooks.cli.options import Options
from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.machine import doer, last_failure, streams
from guest_hooks.machine.config_files import configuration
from guest_hooks.model import State, Status
from guest_hooks.records import replace
from guest_hooks.report import as_journal, messages, reasons
from guest_hooks.sync import sync
from guest_hooks.sync.result import Request, Result, exit_code

UNCHANGED = "Nothing to do: the second stages and grub.cfg are current."
"""Which is not all that the next boot needs."""


def run_sync(session: Session) -> ExitCode:
    """Run it, say what it did, and tell the journal."""
    options = session.options
    request = _request(options)
    config = configuration(session.root, options.config)
    by = doer.of_command(automatic=request.automatic)
    is_told = session.root.is_live and not request.dry_run
    try:
        result = sync(session.root, config, request, step=session.step)
    except GuestHooksError as error:
        if is_told:
            as_journal.tell_failure(error, by)
            _note(session, error)
        raise
    if is_told and not result.is_held:
        as_journal.tell(result, by)
        _note(session, next(iter(result.failures), None))
    result = replace(result, status=session.given.status(result.status))
    for failure in result.failures:
        session.given.error(failure)
    if options.json:
        from guest_hooks.report import as_json  # noqa: PLC0415 - as `status_screen` below

        session.answer(as_json.sync_json(result.status, result.changes, result.failures))
    code = exit_code(result, request, config)
    is_same = code is ExitCode.OK and all(target.is_settled for target in result.status.targets)
    words = reasons.changes_text(result.changes, dry_run=options.dry_run or result.is_held)
    if not words and is_same:
        words = _unchanged(result.status, is_forced=options.force)
    if request.dry_run:
        session.say(session.wrapped(words), is_wrong=code is not ExitCode.OK)
    else:
        session.note(words)
    if not (options.automatic and result.is_repeated):
        _say_what_is_left(session, result, request, code)
    return code


def _say_what_is_left(session: Session, result: Result, request: Request, code: ExitCode) -> None:
    """What failed, or else what is not as it should be, or else the warnings."""
    for failure in result.failures:
        streams.say(messages.error_text(failure, session.error_style))
    if result.is_held:
        session.note([reasons.ON_HOLD] if result.changes else [])
    elif code is not ExitCode.OK and not result.failures and not request.dry_run:
        # With all that a screen shows: a sync that does its work shows none.
        from guest_hooks.report.status_screen import state_rows  # noqa: PLC0415

        streams.say(state_rows(result.status, session.error_style, set()))
    else:
        streams.say(
            messages.warnings_text(
                as_journal.warnings(result, is_foretold=request.dry_run), session.error_style
            )
        )


def _request(options: Options) -> Request:
    return Request(
        targets=tuple(options.target),
        dry_run=options.dry_run,
        force=options.force,
        adopt=options.adopt,
        update_grub=options.update_grub,
        automatic=options.automatic,
        waits_for_packages=options.automatic,
        lock_timeout=options.lock_timeout,
    )


def _note(session: Session, error: GuestHooksError | None) -> None:
    """Leave the cause of an automatic run's failure for the service that started it."""
    if session.options.automatic:
        last_failure.note(session.root, error)


def _unchanged(status: Status, *, is_forced: bool) -> list[str]:
    """What to say of a run that wrote nothing; a forced one has built each second stage again."""
    built = [target for target in status.targets if target.state is State.CURRENT]
    if not is_forced or not built:
        is_current = len(built) == len(status.targets) and status.ok
        return [UNCHANGED if is_current else "Nothing to do."]
    return [
        f"Built {target.path} again (GRUB {target.grub_version}): the same bytes, not written."
        for target in built
    ]
