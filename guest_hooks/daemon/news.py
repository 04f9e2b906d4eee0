# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service says in the journal: one entry when something begins, one when it
ends, none in between.
"""

from collections.abc import Sequence

from guest_hooks.daemon import events, pacing
from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import journal
from guest_hooks.machine.journal import Outcome


def tell_repair(repair: events.Repair) -> None:
    """Write that something was found changed and is being looked after; an audit or another try
    needs no entry.
    """
    if repair.why is events.Why.CHANGED:
        paths = ", ".join(repair.differences)
        journal.send(
            Outcome.NOTICED,
            f"Changed: {paths}; a repair begins",
            path=repair.differences[0],
            cause=paths,
        )


def tell_losses() -> None:
    """Write that the kernel or a thread may have dropped events."""
    journal.send(
        Outcome.WATCH_TROUBLED,
        "Events may have been lost; everything was looked at again",
        cause="events lost",
    )


def tell_reload(error: GuestHooksError) -> None:
    """Write that the new configuration was not taken."""
    journal.send(
        Outcome.FAILING,
        f"The new configuration was not taken: {error.message}",
        cause=error.message,
        hint=error.hint,
    )


def tell(news: events.Tell) -> None:
    """Write the entry for what `pacing` has to say."""
    paths = ", ".join(news.differences)
    path = news.differences[0] if news.differences else ""
    match news.news:
        case events.News.FAILING:
            again = (
                f"next try in {news.retry:g} s, then less often"
                if news.retry < pacing.NEVER
                else "it waits for that to change"
            )
            message = f"Repair failed{f' ({paths})' if paths else ''}: {news.cause}; {again}"
            journal.send(
                Outcome.FAILING,
                message,
                path=path,
                cause=news.cause,
                hint="xen-guest-bootloader status",
            )
        case events.News.UNDONE:
            message = (
                f"Something changes {paths} after each repair; the next repair is in"
                f" {news.retry:g} s, then less often"
            )
            journal.send(Outcome.UNDONE, message, path=path, cause=paths)
        case events.News.BLOCKED:
            journal.send(Outcome.WAITING, f"A repair waits: {news.cause}", cause=news.cause)
        case events.News.HELD:
            message = f"Changed: {paths}; not repaired, because automatic repairs are on hold"
            hint = "xen-guest-bootloader unhold"
            journal.send(Outcome.NOTICED, message, path=path, cause=paths, hint=hint)
        case events.News.MENDED:
            journal.send(
                Outcome.MENDED, f"All is well again, after: {news.cause}", cause=news.cause
            )


def tell_troubles(troubles: Sequence[str]) -> None:
    """Write the entry for what cannot be watched, or that there is nothing of the kind any more."""
    if not troubles:
        journal.send(Outcome.WATCH_MENDED, "Everything is watched again")
        return
    hint = "a full check runs each audit_interval in any case"
    if any("cannot be watched" in trouble for trouble in troubles):
        hint = f"sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances; {hint}"
    journal.send(Outcome.WATCH_TROUBLED, "; ".join(troubles), cause=troubles[0], hint=hint)
