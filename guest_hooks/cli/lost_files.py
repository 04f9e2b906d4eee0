# SPDX-License-Identifier: GPL-3.0-or-later
"""A sync that finds a second stage gone and all else as it was: put back and told in a third of
the time that a survey takes.
"""

import os
import sys
import time
from collections.abc import Sequence

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import doer, dpkg, journal, lock, spares, streams
from guest_hooks.machine.root import Root
from guest_hooks.machine.spares import PutBack
from guest_hooks.model import Change, State
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.report import as_journal, reasons
from guest_hooks.targets import TARGETS

AUTOMATIC = "--automatic"
QUIET = ("-q", "--quiet")


def put_back(words: Sequence[str], fingerprint: str) -> bool:
    """Do what a sync of this command line does, and say so, where `fingerprint` lacks files that
    have a spare, and nothing else; False where a survey has to look.
    """
    root = Root()
    is_automatic = AUTOMATIC in words
    try:
        with lock.held(root, timeout=0):
            if not _is_free(root, is_automatic=is_automatic):
                return False
            done = spares.put_back(root, fingerprint)
    except (GuestHooksError, OSError):  # a survey meets it again, and says what it means
        return False
    except Exception:  # noqa: BLE001 - an internal error keeps nobody from a repair
        import traceback  # noqa: PLC0415 (5 ms)

        journal.send(journal.Outcome.FAULT, traceback.format_exc())
        return False
    if done.files:
        _tell(root, done, words, is_automatic=is_automatic)
    return bool(done.files)


def _is_free(root: Root, *, is_automatic: bool) -> bool:
    """Whether this run has nothing to wait for, and nobody to warn of."""
    if os.geteuid() != 0 or dpkg.INSIDE in os.environ or dpkg.holder(root):
        return False
    if not is_automatic:
        return True
    from guest_hooks.machine import hold  # noqa: PLC0415 - for automatic runs alone

    return time.time() - dpkg.changed_at(root) / 1e9 >= dpkg.STILL and hold.load(root) is None


def _tell(root: Root, done: PutBack, words: Sequence[str], *, is_automatic: bool) -> None:
    why = (SecondStageProblem.MISSING,)
    changes = [Change(path=path, before="", after=State.CURRENT, why=why) for path in done.files]
    if os.path.exists(journal.SOCKET):
        by = doer.of_command(automatic=is_automatic)
        target_of = {path: target.name for target in TARGETS.values() for path in target.files}
        for change in changes:
            target = target_of.get(change.path, "")
            states = {"before": State.MISSING, "after": State.CURRENT}
            as_journal.tell_change(change, by, target=target, **states)
        as_journal.tell_warnings(done.problems)
    if is_automatic:
        from guest_hooks.machine import last_failure  # noqa: PLC0415 - as above

        last_failure.note(root, None)
    if not set(QUIET) & set(words):
        streams.say(reasons.changes_text(changes, dry_run=False), sys.stdout)
    if done.problems:
        from guest_hooks.report import messages, styles  # noqa: PLC0415 - hardly ever

        streams.say(messages.warnings_text(done.problems, styles.style_of(sys.stderr)))
