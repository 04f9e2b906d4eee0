# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program starts, in whichever session: all of it ends when the program is given up."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from guest_hooks.machine import libc

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""What a person, a session that closes or a service manager ends a run with."""
PATIENCE = 2.0
"""Seconds for processes to vanish once they are killed; one that waits for a disk may not."""
LET_GO = 1.0
"""Seconds for what waits for a process that is killed."""
POLL = 0.01

Take = Callable[[int, ExitStack], None]
"""Told of the process that leads the others, and where to put what is to end them all."""


class _ToldToEndError(BaseException):
    """A signal of `ENDING` came."""


@contextmanager
def adopted() -> Iterator[Take]:
    """What is started inside and loses its parent becomes a child of this process, and is known
    by that.

    A signal that would end this process ends the block first, but not before the leader is known.
    """
    told: list[int] = []
    leaders: list[int] = []
    spared = _children(os.getpid())

    def on_signal(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        if leaders and len(told) == 1:
            raise _ToldToEndError

    def take(leader: int, stack: ExitStack) -> None:
        stack.callback(_end, leader, spared)
        leaders.append(leader)
        if told:
            raise _ToldToEndError

    with suppress(OSError):  # where it may not, what has lost its parent is not found
        libc.adopt_orphans(True)
    kept = _handlers()
    try:
        for number in kept:
            signal.signal(number, on_signal)
        yield take
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        with suppress(OSError):
            libc.adopt_orphans(False)
        for number in told[:1]:
            signal.raise_signal(number)


def end_for(thread: threading.Thread, seconds: float = LET_GO) -> None:
    """Kill what this process has started until `thread`, which waits for it and may start more,
    has ended; for so many seconds at most.
    """
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline:
        for pid in _children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        thread.join(POLL)


def _handlers() -> dict[int, "signal._HANDLER"]:
    """How the signals that would end this process are handled; only its main thread may say
    otherwise.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    there = {number: signal.getsignal(number) for number in ENDING}
    ends = (signal.SIG_DFL, signal.default_int_handler)
    return {number: handler for number, handler in there.items() if handler in ends}


def _end(leader: int, spared: Sequence[int]) -> None:
    """Kill all that this process has started but the children in `spared`; those whose parent is
    gone are waited for, `leader` is left for its own parent's wait.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        children = [pid for pid in _children(os.getpid()) if pid not in spared]
        found = [pid for child in children for pid in _tree(child) if _lives(pid)]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in set(children) - {leader}:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not found:
            return
        time.sleep(POLL)


def _tree(pid: int) -> Iterator[int]:
    """`pid` and all below it; what starts meanwhile is seen by the next look."""
    yield pid
    for child in _children(pid):
        yield from _tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _lives(pid: int) -> bool:
    """Whether `pid` is a process that has not ended (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X", b"")
    except OSError:
        return False
