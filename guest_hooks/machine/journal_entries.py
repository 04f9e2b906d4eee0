# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal read back: what was done to the boot files, entry by entry, as `journal.send` wrote
it.
"""

import json
import os
from collections.abc import Iterator, Sequence

from guest_hooks.errors import LackingError
from guest_hooks.machine.journal import IDENTIFIER, KINDS, Outcome
from guest_hooks.machine.run import CommandError, Run, run
from guest_hooks.origin import Entry
from guest_hooks.program import PROGRAM

TIMEOUT = 60.0
FILES = ("/var/log/journal", "/run/log/journal")
"""Where journald keeps what it was told (systemd-journald.service(8))."""
DEEDS = (
    Outcome.REPAIRED,
    Outcome.ROLLED_BACK,
    Outcome.NOT_REPAIRED,
    Outcome.LACKING,
    Outcome.FOREIGN,
    Outcome.HELD,
    Outcome.RELEASED,
)
"""What was done, or was not done though it was wanted."""
_FIELDS = {
    "message": "MESSAGE",
    "outcome": "BOOTLOADER_OUTCOME",
    "path": "BOOTLOADER_PATH",
    "target": "BOOTLOADER_TARGET",
    "cause": "BOOTLOADER_CAUSE",
    "hint": "BOOTLOADER_HINT",
    "before": "BOOTLOADER_STATE_BEFORE",
    "after": "BOOTLOADER_STATE_AFTER",
    "by": "BOOTLOADER_BY",
    "by_name": "BOOTLOADER_BY_NAME",
}
"""The journal's names of what an `Entry` holds."""


def read(lines: int, *, run: Run = run) -> tuple[Entry, ...]:
    """The last `lines` entries about the boot files, the oldest first; raises `LackingError` where
    there is no journal to read.
    """
    command = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--output=json",
        f"--output-fields={','.join(_FIELDS.values())}",
    ]
    # _UID is journald's own word (systemd.journal-fields(7)): any user may write entries under our
    # name.
    command += [f"--lines={lines}", "_UID=0", f"SYSLOG_IDENTIFIER={IDENTIFIER}"]
    command += [f"MESSAGE_ID={KINDS[outcome].message_id}" for outcome in DEEDS]
    try:
        said = run(command, timeout=TIMEOUT).stdout
    except CommandError as error:
        raise LackingError(
            f"the journal could not be read: {error.said}",
            hint=f"sudo {PROGRAM} log" if os.geteuid() else f"see: journalctl -t {IDENTIFIER}",
        ) from error
    return tuple(_entries(said.splitlines()))


def is_all_readable() -> bool:
    """Whether this user may read the system's journal; where not, journalctl shows the user's own
    entries alone.
    """
    if os.geteuid() == 0:
        return True
    # Debian gives the groups adm and systemd-journal the right to read the directory of each
    # machine-id.
    machines = [
        os.path.join(top, name) for top in FILES if os.path.isdir(top) for name in os.listdir(top)
    ]
    return any(os.access(os.path.join(machine, "system.journal"), os.R_OK) for machine in machines)


def _entries(lines: Sequence[bytes]) -> Iterator[Entry]:
    for line in lines:
        row = json.loads(line)
        told = {name: _text(row.get(field)) for name, field in _FIELDS.items()}
        yield Entry(time=int(row["__REALTIME_TIMESTAMP"]) / 1e6, **told)


def _text(value: object) -> str:
    """A field as journalctl prints it: text, the numbers of its bytes where it is not printable,
    null where it is too long.
    """
    if isinstance(value, list) and all(isinstance(number, int) for number in value):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else ""
