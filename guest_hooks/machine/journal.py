# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: one structured entry for each outcome, found again by its MESSAGE_ID and
explained by the message catalogue.

`systemd/xen-guest-bootloader.catalog` has the texts that `journalctl -x` shows; a test compares the
two tables.

An entry is one datagram in the journal's native protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL). libsystemd's own sender waits without a bound for a
journald that does not read.
"""

import os
import struct
import sys
from enum import StrEnum

from guest_hooks import terminal
from guest_hooks.origin import By
from guest_hooks.records import dataclass

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "xen-guest-bootloader"
SEND_SECONDS = 0.5
"""How long an entry waits for a journald that is busy."""
MOST_BYTES = 64 * 1024
"""Of one field; a datagram takes 208 KiB (net.core.wmem_default)."""


class Outcome(StrEnum):
    """What came of a run of ours, or what the repair service has to say."""

    REPAIRED = "repaired"
    ROLLED_BACK = "rolled-back"
    NOT_REPAIRED = "not-repaired"
    LACKING = "lacking"
    FOREIGN = "foreign"
    WARNED = "warned"
    FAULT = "fault"
    NOTICED = "noticed"
    FAILING = "failing"
    UNDONE = "undone"
    MENDED = "mended"
    WATCH_TROUBLED = "watch-troubled"
    WATCH_MENDED = "watch-mended"
    WAITING = "waiting"
    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Kind:
    """The row of an outcome: its MESSAGE_ID and its syslog priority (3 error, 4 warning, 5
    notice, 6 information).
    """

    message_id: str
    priority: int


KINDS: dict[Outcome, Kind] = {
    Outcome.REPAIRED: Kind("b25e2ee9253f4f4bac14ca7b2b860a8b", 5),
    Outcome.ROLLED_BACK: Kind("3f0c6d3c1a8b4d2f9a57c8e1f2ab9d64", 5),
    Outcome.NOT_REPAIRED: Kind("af202e5938874530b69cbae890c8c11d", 3),
    Outcome.LACKING: Kind("c512f436c82b4372ae754fb4900892bc", 3),
    Outcome.FOREIGN: Kind("62884d5900f04b26a4baec716486e4ad", 4),
    Outcome.WARNED: Kind("bdec64e252ba4d8c95813552da2ef797", 4),
    Outcome.FAULT: Kind("6c90a593cb7b4eabb01aed4ce44700ef", 3),
    Outcome.NOTICED: Kind("57938c702a604cb9a136142eeeddc411", 5),
    Outcome.FAILING: Kind("891c85f80c7547ed83eee08552a13dae", 3),
    Outcome.UNDONE: Kind("7e77fae003384d56926b13001af4d2eb", 4),
    Outcome.MENDED: Kind("63076d4083b34e2fa8b12a24fd5a883d", 5),
    Outcome.WATCH_TROUBLED: Kind("1cae420ca6c247e996b36ebcee16572f", 4),
    Outcome.WATCH_MENDED: Kind("8a14241c43da4dd6abf16057a753cd4f", 5),
    Outcome.WAITING: Kind("f9bc3d3a98d44e1590e627764579a6ff", 5),
    Outcome.HELD: Kind("a6d1b1f4c6e24f0b8c3f7d95e2104b7a", 5),
    Outcome.RELEASED: Kind("d27f5c0e94b843c1b0e86a3d1c5f7e98", 5),
}


def send(  # noqa: PLR0913 - the fields of an entry
    outcome: Outcome,
    message: str,
    *,
    target: str = "",
    path: str = "",
    before: str = "",
    after: str = "",
    cause: str = "",
    hint: str = "",
    by: By | None = None,
) -> None:
    """Write one entry; where no journal takes it, one line on standard error, and where that
    takes nothing either, none.

    Never raises, and waits `SEND_SECONDS` at most. `before` and `after` are states (`model.State`),
    `cause` problem codes or a sentence, `hint` the next step, `by` who did it.
    """
    kind = KINDS[outcome]
    fields = {
        "MESSAGE": message,
        "MESSAGE_ID": kind.message_id,
        "PRIORITY": str(kind.priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "BOOTLOADER_OUTCOME": outcome,
        "BOOTLOADER_TARGET": target,
        "BOOTLOADER_PATH": path,
        "BOOTLOADER_STATE_BEFORE": before,
        "BOOTLOADER_STATE_AFTER": after,
        "BOOTLOADER_CAUSE": cause,
        "BOOTLOADER_HINT": hint,
        "BOOTLOADER_BY": by.doer if by else "",
        "BOOTLOADER_BY_NAME": by.name if by else "",
    }
    try:
        _write(b"".join(_field(name, value) for name, value in fields.items() if value))
    except OSError:
        words = f"{message} ({hint})" if hint else message
        _say(f"{IDENTIFIER}: {terminal.printable_lines(words)}\n")


def _write(entry: bytes) -> None:
    import socket  # noqa: PLC0415 (3 ms) - most runs have nothing to tell

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SEND_SECONDS)
        sender.connect(SOCKET)
        sender.send(entry)


def _field(name: str, value: str) -> bytes:
    """One field with its length before it, for a value may have newlines."""
    data = terminal.printable_lines(value).encode(errors="replace")[:MOST_BYTES]
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)


def _say(line: str) -> None:
    """Write to standard error, unless it is closed, full, or read by nobody: a unit's is a
    socket of journald's, too.
    """
    try:
        import select  # noqa: PLC0415 - as above

        fd = sys.stderr.fileno()
        ready = select.poll()
        ready.register(fd, select.POLLOUT)
        if any(events & select.POLLOUT for _, events in ready.poll(0)):
            os.write(fd, line.encode(errors="replace"))
    # A stream without a descriptor, a closed one, none at all.
    except (OSError, ValueError, AttributeError):
        return
