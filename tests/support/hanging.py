# SPDX-License-Identifier: GPL-3.0-or-later
"""A script of a guest's that never ends, and a grub-mkconfig that may take seconds and not
minutes.
"""

from contextlib import suppress
from pathlib import Path

from tests.support.chroot_guest import ChrootGuest
from tests.support.outside_guest import Outcome

FOREVER = "sleep 98765"
BOUND = 3


def bounded(guest: ChrootGuest, *words: str) -> Outcome:
    """Run the program in the guest, where grub-mkconfig may take `BOUND` seconds."""
    script = (
        "import sys; from guest_hooks import cli; from guest_hooks.machine import grub_tools;"
        f" grub_tools.CONFIG_TIMEOUT = {BOUND}; sys.exit(cli.main({list(words)!r}))"
    )
    done = guest.run("python3", "-c", script, check=False)
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def living() -> set[int]:
    """The processes of the machine that run `FOREVER`."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().replace(b"\0", b" ").strip() == FOREVER.encode():
                found.add(int(path.parent.name))
    return found
