# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain files of a directory, which a second look opens only where they have changed."""

import os
import time
from collections.abc import Callable, Mapping

from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass, field

Signature = tuple[int, int, int, int]
"""A file's inode, size, mtime and ctime (ns)."""
SETTLED = 2.0
"""Seconds; a file that changed later than so long before a look may change again and keep its
signature: ext4 with inodes of 128 bytes keeps whole seconds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The bytes of each file by name, and the signatures by which a later look knows them again."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    signatures: Mapping[str, Signature] = field(default_factory=dict, repr=False)


def signature(status: os.stat_result) -> Signature | None:
    """What a file that is looked at now has as long as it is the same; None where it may change
    and keep it.
    """
    if status.st_ctime_ns > (time.time() - SETTLED) * 1e9:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read(
    root: Root, path: str, wanted: Callable[[str], bool], known: Directory | None = None
) -> Directory:
    """Those plain files of the directory `path` whose names are `wanted`, as `Root.files` has them;
    `known` itself where nothing in it has changed.
    """
    known = known or Directory()
    latest = int((time.time() - SETTLED) * 1e9)
    found = {
        name: (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        for name, status in root.entries(path).items()
        if wanted(name)
    }
    same = {name for name in known.files if known.signatures.get(name) == found.get(name, ())}
    if same == found.keys() == known.files.keys():
        return known
    files = root.files(path, lambda name: name in found and name not in same)
    return Directory(
        files={name: known.files[name] for name in same} | files,
        signatures={name: each for name, each in found.items() if each[3] <= latest},
    )
