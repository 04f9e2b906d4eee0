# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg and its front ends are about to do: who holds their locks, which packages stand
between two states.
"""

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import holders
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
"""A front end (apt, aptitude, unattended-upgrades) holds the first from before its first run of
dpkg to after its last; dpkg, where no front end does, holds it itself. The second is dpkg's own,
for one run (dpkg: lib/dpkg/dbmodify.c)."""
DATABASE = ("/var/lib/dpkg/status", "/var/lib/dpkg/updates")
"""Each change of a package's state is a new file in the second, and in the end a new one in the
place of the first.
"""
UNFINISHED = (
    "half-installed",
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
)
QUERY = ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${binary:Package}\n")
QUERY_TIMEOUT = 20.0


def holder(root: Root) -> str:
    """Who holds one of the locks, as words for a message; empty where nobody does."""
    for path in LOCKS:
        found = holders.holder(root, path)
        if found is not None:
            return f"{found} holds {root.outside(path)}"
    return ""


def changed_at(root: Root) -> int:
    """When the database changed last, in nanoseconds since the epoch; 0 where there is none."""
    return max(
        (status.st_mtime_ns for path in DATABASE if (status := root.stat(path)) is not None),
        default=0,
    )


def unfinished(*, run: Run = run) -> tuple[str, ...]:
    """The running system's packages that are neither installed nor not, as dpkg says; none
    where dpkg can't say.
    """
    try:
        text = run(QUERY, timeout=QUERY_TIMEOUT).text
    except GuestHooksError:
        return ()
    rows = (line.split(" ", 1) for line in text.splitlines() if " " in line)
    return tuple(name for state, name in rows if state in UNFINISHED)
