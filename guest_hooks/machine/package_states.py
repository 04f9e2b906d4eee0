# SPDX-License-Identifier: GPL-3.0-or-later
"""How far dpkg has come with a package of this guest."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from guest_hooks.errors import LackingError
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import CommandError, Run, run

DPKG = "/var/lib/dpkg"
UNFINISHED = ("half-installed", "unpacked", "half-configured")
"""The package's files, or what its scripts make of them, may be missing (dpkg(1), package
states).
"""
HALF_INSTALLED = "half-installed"
"""Some of the package's files are of one version and some of another, or missing."""
MOST_UPDATES = 250
"""dpkg merges them when there are so many (lib/dpkg/dbmodify.c: MAXUPDATES)."""
CONFIGURED_NOW = "DPKG_MAINTSCRIPT_PACKAGE"
"""Set by dpkg for a maintainer script; while it runs, its package is half-configured."""
_STATUS = re.compile(rb"^Status: +\S+ +\S+ +(\S+) *$", re.MULTILINE)


def states(root: Root, names: Sequence[str], *, run: Run = run) -> Mapping[str, str]:
    """The state that dpkg gives those of the packages `names` that it knows: `installed`,
    `unpacked` and so on.

    The package whose own script calls us counts as installed. Empty where dpkg does not answer.
    """
    found = _asked(names, run=run) if root.is_live else recorded(root, names)
    own = os.environ.get(CONFIGURED_NOW, "").partition(":")[0] if root.is_live else ""
    return {name: "installed" if name == own else state for name, state in found.items()}


def _asked(names: Sequence[str], *, run: Run) -> dict[str, str]:
    form = "--showformat=${Package} ${db:Status-Status}\\n"
    try:
        answer = run(["dpkg-query", "--show", form, *names], success_codes=(0, 1)).text
    except (LackingError, CommandError):
        return {}
    rows = (line.split(" ") for line in answer.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def recorded(root: Root, names: Sequence[str]) -> dict[str, str]:
    """The same by dpkg's database alone: its status file, then what was not merged into that yet.

    No program runs, and who calls makes no difference.
    """
    found: dict[str, str] = {}
    for data in _tables(root):
        table = b"\n" + data
        for name in names:
            start = table.find(b"\nPackage: %s\n" % name.encode())
            if start >= 0:
                status = _STATUS.search(table[start : table.find(b"\n\n", start)])
                found |= {name: status[1].decode(errors="replace")} if status else {}
    return found


def altered(root: Root, package: str, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Those of `files`, which `package` has installed by these paths, that are not as it has them.

    None where dpkg has no sums of them, and none where most are not: then another build was laid
    over the package's, and none of this one is damaged.
    """
    sums = _sums(root, package)
    known = {path: data for path, data in files.items() if path in sums}
    found = tuple(path for path, data in known.items() if _md5(data) != sums[path])
    return found if 2 * len(found) < len(known) else ()


def _sums(root: Root, package: str) -> dict[str, str]:
    """What dpkg knows of the package's files, by path: the sums that came with it."""
    text = root.read_text(f"{DPKG}/info/{package}.md5sums") or ""
    rows = (line.partition("  ") for line in text.splitlines())
    return {f"/{path}": digest for digest, _, path in rows}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _tables(root: Root) -> Iterator[bytes]:
    updates = sorted(name for name in root.names(f"{DPKG}/updates") if name.isdecimal())
    for path in (f"{DPKG}/status", *(f"{DPKG}/updates/{name}" for name in updates[:MOST_UPDATES])):
        try:
            yield root.read(path)
        except (OSError, NotRegularError):
            continue
