# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg knows: who holds its locks, how far it has come with each package, and which files a
package has installed.
"""

import os
import re
from collections.abc import Mapping, Sequence

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import holders
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run

DPKG = "/var/lib/dpkg"
LOCKS = (f"{DPKG}/lock-frontend", f"{DPKG}/lock")
"""A front end (apt, aptitude, unattended-upgrades) holds the first from before its first run of
dpkg to after its last; dpkg, where no front end does, holds it itself. The second is dpkg's own,
for one run (dpkg: lib/dpkg/dbmodify.c)."""
DATABASE = (f"{DPKG}/status", f"{DPKG}/updates")
"""Each change of a package's state is a new file in the second, and in the end a new one in the
place of the first.
"""
HALF_INSTALLED = "half-installed"
"""Some of the package's files are of one version and some of another, or missing."""
INCOMPLETE = (HALF_INSTALLED, "unpacked", "half-configured")
"""The package's files, or what its scripts make of them, may be missing (dpkg(1), package
states).
"""
UNFINISHED = (*INCOMPLETE, "triggers-awaited", "triggers-pending")
"""dpkg has more to do for the package."""
MOST_UPDATES = 250
"""dpkg merges them when there are so many (lib/dpkg/dbmodify.c: MAXUPDATES)."""
STILL = 600.0
"""Seconds without a change of the database after which nobody is taken to be finishing what is left
unfinished in it.
"""
INSIDE = "DPKG_RUNNING_VERSION"
"""Set for maintainer scripts, and so for all that they start (dpkg(1)): waiting for dpkg, they
would wait for themselves.
"""
CONFIGURED_NOW = "DPKG_MAINTSCRIPT_PACKAGE"
"""Set by dpkg for a maintainer script; while it runs, its package is half-configured."""
QUERY = ("dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Status}\n")
QUERY_TIMEOUT = 20.0
_OF_A_KERNEL = ("image", "binary", "base", "modules")
"""linux-KIND-RELEASE, the packages of a kernel: before forky the first has all of it; since then
the first copies to /boot what the others have in /usr/lib/modules.
"""
_STATUS = re.compile(rb"^Status: +\S+ +\S+ +(\S+) *$", re.MULTILINE)


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
    return tuple(name for name, state in _asked(run=run).items() if state in UNFINISHED)


def states(root: Root, names: Sequence[str], *, run: Run = run) -> Mapping[str, str]:
    """The state that dpkg gives those of the packages `names` that it knows: `installed`,
    `unpacked` and so on.

    The package whose own script calls us counts as installed. Empty where dpkg does not answer.
    """
    if not root.is_live:
        return recorded(root, names)
    own = os.environ.get(CONFIGURED_NOW, "").partition(":")[0]
    found = {name.partition(":")[0]: state for name, state in _asked(*names, run=run).items()}
    return found | ({own: "installed"} if own in found else {})


def _asked(*names: str, run: Run) -> dict[str, str]:
    """What dpkg says of the packages `names`, or of all: the state by the name, which has the
    architecture with it where that is needed.
    """
    try:
        answer = run([*QUERY, *names], timeout=QUERY_TIMEOUT, success_codes=(0, 1)).text
    except GuestHooksError:
        return {}
    return dict(row for line in answer.splitlines() if len(row := line.split(" ")) == 2)


def recorded(root: Root, names: Sequence[str]) -> dict[str, str]:
    """The same by dpkg's database alone: its status file, then what was not merged into that yet.

    No program runs, and who calls makes no difference.
    """
    found: dict[str, str] = {}
    merged, changes = DATABASE
    updates = sorted(name for name in root.names(changes) if name.isdecimal())
    for path in (merged, *(f"{changes}/{name}" for name in updates[:MOST_UPDATES])):
        table = b"\n" + (root.content(path) or b"")
        for name in names:
            start = table.find(b"\nPackage: %s\n" % name.encode())
            if start >= 0:
                status = _STATUS.search(table[start : table.find(b"\n\n", start)])
                found |= {name: status[1].decode(errors="replace")} if status else {}
    return found


def kernel_packages(root: Root, release: str) -> tuple[str, ...]:
    """The packages of Debian's kernel `release` that dpkg has on record; where it has none, that
    which brings all others.
    """
    names = tuple(f"linux-{kind}-{release}" for kind in _OF_A_KERNEL)
    there = (name for name in names if root.exists(f"{DPKG}/info/{name}.list"))
    return tuple(there) or names[:1]


def altered(root: Root, package: str, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Those of `files`, which `package` has installed by these paths, that are not as it has them.

    None where dpkg has no sums of them, and none where most are not: then another build was laid
    over the package's, and none of this one is damaged.
    """
    text = root.read_text(f"{DPKG}/info/{package}.md5sums") or ""
    rows = (line.partition("  ") for line in text.splitlines())
    sums = {f"/{path}": digest for digest, _, path in rows}
    known = {path: data for path, data in files.items() if path in sums}
    found = tuple(path for path, data in known.items() if _md5(data) != sums[path])
    return found if 2 * len(found) < len(known) else ()


def _md5(data: bytes) -> str:
    import hashlib  # noqa: PLC0415 (3 ms) - few runs check a package's files

    return hashlib.md5(data, usedforsecurity=False).hexdigest()
