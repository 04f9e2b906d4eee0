# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager: what it is told of us (sd_notify(3)), and the repair it runs for us."""

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.machine import last_failure
from guest_hooks.machine.control_group import own_unit
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import OF_SIGNAL, CommandError, Run, run
from guest_hooks.machine.service import WATCHER
from guest_hooks.program import SYNC_UNIT
from guest_hooks.records import dataclass
from guest_hooks.terminal import printable

REPAIR_TIMEOUT = 1900.0
"""Seconds; longer than the repair unit's own TimeoutStartSec, so that systemd's verdict comes
first.
"""
QUESTION_TIMEOUT = 20.0
NOTIFY_SECONDS = 0.5
"""How long a word to the manager waits where its socket is full, which any user can bring about
for a moment.
"""
READY_SECONDS = 20.0
"""The same for the one word without which the start would fail; less than
DefaultTimeoutStartSec.
"""
AGAIN_SECONDS = (0.2, 0.5)
"""Pauses before a repair whose end is not known is asked for again: systemd, which executes itself
again after each upgrade, lets go of all who wait for it.
"""


class _UnknownEndError(GuestHooksError):
    """systemd has refused the start, or let go of who waited for it; the repair has not failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What came of a repair: `error` is empty where it succeeded; `is_locked` where it only met
    another run.
    """

    error: str = ""
    is_locked: bool = False


class Manager:
    """systemd, where this process is its unit (`service.WATCHER`); else nobody, and then
    nothing is told.

    A `watch` by hand may have inherited NOTIFY_SOCKET from a session, or from a container's
    manager: that is not ours to talk to.
    """

    def __init__(self, *, unit: str | None = None) -> None:
        self.is_there = (
            "NOTIFY_SOCKET" in os.environ and (own_unit() if unit is None else unit) == WATCHER
        )
        self.ping_interval = _ping_interval() if self.is_there else 0.0
        """Seconds between two pings, half of WatchdogSec; 0 where none is wanted."""

    def ready(self) -> None:
        """The service is up, or its reload is done."""
        self._notify("READY=1", seconds=READY_SECONDS)

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        self._notify(f"STATUS={printable(text)}")

    def ping(self) -> None:
        """All is alive."""
        self._notify("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is about to be read again; `ready` follows."""
        self._notify(
            f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        )

    def stopping(self) -> None:
        """The service is about to end."""
        self._notify("STOPPING=1")

    def _notify(self, text: str, *, seconds: float = NOTIFY_SECONDS) -> None:
        """One datagram (sd_notify(3)); one that the manager does not take in time is dropped."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        if not self.is_there:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            if not _has_room(sender, seconds):
                return
            with suppress(ImportError):  # not installed, or not for a Python that is being upgraded
                _notify_by_library(text)
                return
            sender.send(text.encode(errors="replace"), socket.MSG_DONTWAIT)


def _has_room(sender: socket.socket, seconds: float) -> bool:
    """Whether the other side of a connected socket takes a datagram within so many seconds;
    sd_notify(3) knows no bound.
    """
    ready = select.poll()
    ready.register(sender, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in ready.poll(seconds * 1000))


def _notify_by_library(text: str) -> None:
    from systemd import daemon  # noqa: PLC0415 - only a service has someone to tell

    daemon.notify(text)


def repair_by_unit(*, run: Run = run, sleep: Callable[[float], None] = time.sleep) -> Repaired:
    """Start the repair unit and wait for its end. The repair is systemd's: it goes on if this
    process ends.
    """
    for pause in AGAIN_SECONDS:
        with suppress(_UnknownEndError):
            return _run_unit(run)
        sleep(pause)
    try:
        return _run_unit(run)
    except _UnknownEndError as error:
        return Repaired(error=error.message)


def _run_unit(run: Run) -> Repaired:
    try:
        run(["systemctl", "start", SYNC_UNIT], timeout=REPAIR_TIMEOUT)
    except CommandError as error:
        return _verdict(run, refusal=error)
    except GuestHooksError as error:
        return Repaired(error=error.message)
    return Repaired()


def repair_by_command(command: Sequence[str]) -> Repaired:
    """Run `sync` itself and wait for its end: where there is no systemd to do it."""
    try:
        run(command, timeout=REPAIR_TIMEOUT)
    except CommandError as error:
        return Repaired(error=error.message, is_locked=error.code == ExitCode.LOCKED)
    except GuestHooksError as error:
        return Repaired(error=error.message)
    return Repaired()


def restart(unit: str) -> None:
    """Ask for a restart of `unit`, without waiting for it."""
    run(["systemctl", "--no-block", "restart", unit], timeout=QUESTION_TIMEOUT)


def _verdict(run: Run, *, refusal: CommandError) -> Repaired:
    """Why the repair unit failed, from what systemd kept of it; raises `_UnknownEndError` where
    it keeps no failure.
    """
    try:
        shown = run(
            ["systemctl", "show", "--property=Result,ExecMainStatus", SYNC_UNIT],
            timeout=QUESTION_TIMEOUT,
        ).text
    except CommandError as error:
        return _unknown(error)
    except GuestHooksError as error:
        return Repaired(error=error.message)
    facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    result, status = facts.get("Result", "unknown"), facts.get("ExecMainStatus", "")
    if result == "success":
        return _unknown(refusal)
    if result != "exit-code" or not status.isdigit():
        return Repaired(error=f"{SYNC_UNIT} failed: {result}; see journalctl -u {SYNC_UNIT}")
    return _failed(int(status))


def _failed(status: int) -> Repaired:
    if status == ExitCode.LOCKED:
        return Repaired(error=ExitCode.LOCKED.meaning, is_locked=True)
    said = last_failure.read(Root(), status)
    if said is not None:
        return Repaired(error=said.message)
    meaning = ExitCode(status).meaning if status in list(ExitCode) else f"exit code {status}"
    return Repaired(error=f"{SYNC_UNIT}: {meaning}; see journalctl -u {SYNC_UNIT}")


def _unknown(error: CommandError) -> Repaired:
    """Raises `_UnknownEndError`, unless systemctl was ended, as by this process when it ends."""
    if 0 < error.code < OF_SIGNAL:
        raise _UnknownEndError(error.message) from error
    return Repaired(error=error.message)


def _ping_interval() -> float:
    """Half of WATCHDOG_USEC, where it is meant for this process (sd_watchdog_enabled(3))."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    micros = os.environ.get("WATCHDOG_USEC", "")
    return int(micros) / 2e6 if micros.isdigit() else 0.0
