# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that nobody asked for keeps out of the package manager's way.

Between two runs of dpkg a kernel may lack its initrd, and GRUB half of its modules: a menu or a
second stage that is made then is out of date a moment later. So such a run waits for the front end,
not only for dpkg; but not for ever, for what it is to repair may keep the guest from booting. A
hook or trigger is run by dpkg and must not wait for it, and who types `sync` wants it done.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guest_hooks.errors import LockedError
from guest_hooks.machine import dpkg, journal, lock
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import Problem
from guest_hooks.problems.runs import RunProblem
from guest_hooks.records import dataclass

CODE = RunProblem.PACKAGES
MANAGER_PID = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds.

    `still`: when nothing in dpkg's database has changed for so long, whoever holds its lock asks a
    question or downloads, and the run goes on. `longest`: when packages change even then, the run
    gives up, to be made again; TimeoutStartSec is longer. `silent`: when it has waited so long, it
    says so. `poll`: the time between two looks.
    """

    still: float = dpkg.STILL
    longest: float = 1200.0
    silent: float = 60.0
    poll: float = 1.0


PATIENCE = Patience()


class Stopped(Exception):  # noqa: N818 - no error: the service manager asked for the end
    """Whoever waits is to end now."""


def _sleep(seconds: float) -> None:
    """Sleep; raises `Stopped` where the service manager sends the repair unit's KillSignal,
    which a repair under way ignores.
    """
    came = signal.sigtimedwait([signal.SIGCONT], seconds)
    if came is not None and came.si_pid == MANAGER_PID:  # a shell's `fg` sends it, too
        raise Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as a wait sees it: a clock that never goes back, that of file times, and the sleep
    between two looks.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = _sleep


CLOCK = Clock()


@contextmanager
def held(
    root: Root, *, waits: bool, is_asked_for: bool, lock_timeout: float
) -> Iterator[tuple[Problem, ...]]:
    """Hold our own lock, after the package manager where the run `waits`; yields what to warn
    whoever asked for it of.
    """
    if not root.is_live or dpkg.INSIDE in os.environ:
        waits = is_asked_for = False
    if waits:
        with held_between_runs(root, lock_timeout=lock_timeout) as warnings:
            yield warnings
        return
    with lock.held(root, timeout=lock_timeout):
        yield _at_work(root) if is_asked_for else ()


@contextmanager
def held_between_runs(
    root: Root,
    *,
    lock_timeout: float,
    patience: Patience = PATIENCE,
    clock: Clock = CLOCK,
    run: Run = run,
) -> Iterator[tuple[Problem, ...]]:
    """Hold our own lock (`lock.held`) while the package manager of the running system is not at
    work; yields what to warn of.

    Raises `LockedError` with the name of whoever is still at work after `patience.longest`, or when
    the service manager asked for the end.
    """
    waiting = _Waiting(root, patience, clock, run)
    while True:
        waiting.wait()
        with lock.held(root, timeout=lock_timeout):
            # Who held our lock till now may have been a hook, and dpkg be at work.
            if waiting.is_over():
                yield waiting.warnings
                return


def _at_work(root: Root) -> tuple[Problem, ...]:
    """What to tell a person whose run does not wait: that what it does now may be out of date
    soon.
    """
    busy = dpkg.holder(root)
    if not busy:
        return ()
    message = f"packages are being installed at the same time: {busy}"
    return (Problem.of(CODE, message, step="run it again when that has ended"),)


class _Waiting:
    """One wait: since when, and since when dpkg's database has been as it is."""

    def __init__(self, root: Root, patience: Patience, clock: Clock, run: Run) -> None:
        self._root = root
        self._patience = patience
        self._clock = clock
        self._run = run
        self._start = self._still_since = clock.now()
        self._changed_at = dpkg.changed_at(root)
        self._unfinished: tuple[str, ...] | None = None
        self._is_told = False
        self.warnings: tuple[Problem, ...] = ()

    def wait(self) -> None:
        """Until the wait is over; raises `LockedError` where it may not go on."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
        try:
            while not self.is_over():
                self._clock.sleep(self._patience.poll)
        except Stopped:
            raise LockedError(
                f"told to stop while {self._busy()}", hint="the next run does it"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def is_over(self) -> bool:
        """Whether nobody is at work, or whoever is has not moved for so long that it is not
        waited for.
        """
        self._notice_changes()
        busy = self._busy()
        now = self._clock.now()
        if not busy:
            return True
        if now - self._still_since >= self._patience.still:
            message = (
                "not waited for any longer, since no package has changed for"
                f" {self._patience.still:g} s: {busy}"
            )
            self.warnings = (Problem.of(CODE, message, step="let it finish"),)
            return True
        if now - self._start >= self._patience.longest:
            raise LockedError(
                f"{busy}; waited {self._patience.longest:g} s for it",
                hint="let it finish; the next run does the rest",
            )
        if now - self._start >= self._patience.silent and not self._is_told:
            self._is_told = True
            journal.send(
                journal.Outcome.WAITING,
                f"waits, for packages are being installed: {busy}",
                cause=busy,
            )
        return False

    def _notice_changes(self) -> None:
        changed_at = dpkg.changed_at(self._root)
        if changed_at != self._changed_at:
            self._changed_at, self._still_since, self._unfinished = (
                changed_at,
                self._clock.now(),
                None,
            )

    def _busy(self) -> str:
        """Who is at work; empty where nobody is."""
        holder = dpkg.holder(self._root)
        if holder or self._clock.wall() - self._changed_at / 1e9 >= self._patience.still:
            return holder  # what was left unfinished so long ago, nobody is finishing
        if self._unfinished is None:
            self._unfinished = dpkg.unfinished(run=self._run)
        return (
            f"these packages are not configured yet: {', '.join(self._unfinished[:5])}"
            if self._unfinished
            else ""
        )
