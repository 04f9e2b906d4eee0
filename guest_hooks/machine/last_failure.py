# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the last automatic run failed, in its own words: a small file in /run, for the service that
started it and sees no more than an exit code.
"""

import json
from contextlib import suppress

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import durable, stored
from guest_hooks.machine.root import Root
from guest_hooks.records import asdict, dataclass

DIRECTORY = "/run/xen-guest-bootloader"
PATH = f"{DIRECTORY}/last-failure.json"
MAX_SIZE = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFailure:
    """Its exit code, message and next step."""

    code: int
    message: str
    hint: str = ""


def note(root: Root, error: GuestHooksError | None) -> None:
    """Write down why this run failed, or that it did not; where that can't be done, it is not."""
    with suppress(GuestHooksError):
        if error is None:
            if root.exists(PATH):
                durable.remove(root, PATH)
            return
        failure = LastFailure(code=int(error.exit_code), message=error.message, hint=error.hint)
        durable.make_dirs(root, DIRECTORY)
        durable.replace(root, PATH, json.dumps(asdict(failure)).encode())


def read(root: Root, code: int) -> LastFailure | None:
    """The failure of a run that ended with the exit code `code`; None where nothing is known."""
    try:
        failure = stored.record(LastFailure, json.loads(root.content(PATH, limit=MAX_SIZE) or b""))
    except ValueError:
        return None
    return failure if failure is not None and failure.code == code else None
