# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for the journal: its own protocol, and that nothing which reads too slowly, or not at
all, stops or fails anything.
"""

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from guest_hooks.machine import journal, manager, service
from guest_hooks.machine.journal import KINDS, Outcome
from tests.support.checkout import CHECKOUT

SAY = """
import sys
from guest_hooks.machine import journal
journal.SOCKET = sys.argv[1]
for _ in range(int(sys.argv[2])):
    journal.send(journal.Outcome.FAILING, "it broke", hint="look")
"""


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A journal's socket that nobody reads from but the test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(10)
        monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "journal"))
        yield listener


def until_full(write: Callable[[], object]) -> None:
    """Write until no more fits."""
    with suppress(BlockingIOError):
        for _ in range(1_000_000):
            write()
        pytest.fail("it is never full")


def fill(path: Path) -> None:
    """Send to the socket at `path` until no more fits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(str(path))
        until_full(lambda: sender.send(b"x" * 1000))


def fields(datagram: bytes) -> dict[str, str]:
    """The fields of an entry, each NAME, newline, 64-bit length, value, newline."""
    found = {}
    while datagram:
        name, _, datagram = datagram.partition(b"\n")
        (length,) = struct.unpack_from("<Q", datagram)
        found[name.decode()] = datagram[8 : 8 + length].decode()
        assert datagram[8 + length : 9 + length] == b"\n"
        datagram = datagram[9 + length :]
    return found


def test_an_entry_has_its_fields(journald: socket.socket) -> None:
    journal.send(
        Outcome.REPAIRED,
        "two\nlines",
        path="/boot/xen/x",
        before="missing",
        after="current",
        hint="é",
    )
    assert fields(journald.recv(1 << 20)) == {
        "MESSAGE": "two\nlines",
        "MESSAGE_ID": KINDS[Outcome.REPAIRED].message_id,
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "xen-guest-bootloader",
        "BOOTLOADER_OUTCOME": "repaired",
        "BOOTLOADER_PATH": "/boot/xen/x",
        "BOOTLOADER_STATE_BEFORE": "missing",
        "BOOTLOADER_STATE_AFTER": "current",
        "BOOTLOADER_HINT": "é",
    }


def test_the_longest_entry_fits(journald: socket.socket) -> None:
    journal.send(Outcome.FAULT, "x" * 1_000_000, cause="y" * 1_000_000)
    assert len(fields(journald.recv(1 << 20))["MESSAGE"]) == journal.MOST_BYTES


@pytest.mark.usefixtures("journald")
def test_a_journal_that_nobody_reads_from_is_not_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "journal")
    start = time.monotonic()
    journal.send(Outcome.FAILING, "it broke", hint="look")
    assert time.monotonic() - start < 10 * journal.SEND_SECONDS
    assert capfd.readouterr().err == "xen-guest-bootloader: it broke (look)\n"


@pytest.mark.parametrize("left", ["nothing", "dead socket", "file"])
def test_without_a_journal_an_entry_is_a_line_on_stderr(
    left: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "journal"
    match left:
        case "dead socket":
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
                gone.bind(str(path))
        case "file":
            path.touch()
    monkeypatch.setattr(journal, "SOCKET", str(path))
    journal.send(Outcome.REPAIRED, "it was missing", path="/boot/xen/x", hint="nothing")
    assert capfd.readouterr().err == "xen-guest-bootloader: it was missing (nothing)\n"


@pytest.mark.parametrize("stderr", ["closed", "full", "broken", "unread"])
def test_stderr_that_takes_nothing_stops_nothing(stderr: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAY, str(tmp_path / "none"), "100"]
    read, write = os.pipe()
    to: int = {
        "closed": write,
        "full": os.open("/dev/full", os.O_WRONLY),
        "broken": write,
        "unread": write,
    }[stderr]
    if stderr == "broken":
        os.close(read)
    if stderr == "unread":
        os.set_blocking(write, False)
        until_full(lambda: os.write(write, b"x"))
        os.set_blocking(write, True)
    words = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command] if stderr == "closed" else command
    done = subprocess.run(
        words, stderr=to, env={"PYTHONPATH": str(CHECKOUT)}, timeout=60, check=False
    )
    assert done.returncode == 0


def test_without_python3_systemd_all_is_said(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("systemd", "systemd.journal", "systemd.daemon"):
        monkeypatch.setitem(sys.modules, name, cast("Any", None))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "journal"))
    journal.send(Outcome.REPAIRED, "it was missing")
    assert fields(journald.recv(1 << 20))["MESSAGE"] == "it was missing"
    manager.Manager(unit=service.WATCHER).ready()
    assert journald.recv(1 << 20) == b"READY=1"


def test_an_abstract_address_of_the_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel chooses a name, which begins with a zero
        address = listener.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{address[1:].decode()}")
        manager.Manager(unit=service.WATCHER).ping()
        listener.settimeout(10)
        assert listener.recv(100) == b"WATCHDOG=1"


@pytest.mark.usefixtures("journald")
def test_a_manager_that_does_not_read_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "journal")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "journal"))
    start = time.monotonic()
    manager.Manager(unit=service.WATCHER).ping()
    assert time.monotonic() - start < 10 * manager.NOTIFY_SECONDS


@pytest.mark.parametrize("unit", ["", "session-1.scope", "another.service"])
def test_a_watcher_by_hand_talks_to_no_manager(
    unit: str, journald: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", journal.SOCKET)
    by_hand = manager.Manager(unit=unit)
    by_hand.ready()
    assert not by_hand.is_there
    journald.setblocking(False)
    with pytest.raises(BlockingIOError):
        journald.recv(100)
