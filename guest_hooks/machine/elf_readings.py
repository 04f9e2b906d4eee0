# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier runs have read of ELF files' headers, so that pyelftools is loaded only for headers
that nobody has seen.

Each is known by the bytes that it was read from (`elf.Reading`), and all of them by this program
and the pyelftools that read them: where either is another one, they are read again.
"""

import os
import sys
from contextlib import suppress
from typing import Any

from guest_hooks import __version__
from guest_hooks.formats import elf
from guest_hooks.formats.elf import Elf, Encoding, Reading, Section, Segment
from guest_hooks.machine import cache_file
from guest_hooks.machine.root import Root
from guest_hooks.paths import STATE_DIR
from guest_hooks.records import asdict

READINGS = f"{STATE_DIR}/elf-readings.json"
VERSION = 1
MAX_SIZE = 1 << 20


_noted: list[tuple[Reading, ...]] = []
"""What the file says, where this run has read or written it."""


def recall(root: Root) -> None:
    """Take for known what is remembered on the running system; of a tree nothing is."""
    if _is_used(root) and not _noted:
        elf.recall((*_load(root), *elf.known()))
        _noted.append(elf.known())


def remember(root: Root) -> None:
    """Write what is known by now, where that is something new."""
    known = elf.known()
    if _is_used(root) and [known] != _noted:
        table = {"reader": _reader(), "rows": [asdict(reading) for reading in known]}
        cache_file.save(root, READINGS, version=VERSION, key="readings", table=table)
        _noted[:] = [known]


def _load(root: Root) -> list[Reading]:
    table = cache_file.load(root, READINGS, version=VERSION, key="readings", limit=MAX_SIZE)
    if table.get("reader") != _reader():
        return []
    try:
        return [_reading(row) for row in table["rows"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _reading(row: dict[str, Any]) -> Reading:
    """The reading of a row; raises where it is not one."""
    found = row["elf"]
    container = Elf(
        **found
        | {
            "encoding": Encoding(found["encoding"]),
            "segments": tuple(Segment(**_numbers(each)) for each in found["segments"]),
            "sections": tuple(Section(**_numbers(each)) for each in found["sections"]),
        }
    )
    _numbers({name: found[name] for name in ("elf_class", "machine", "type", "entry")})
    spans = tuple((int(start), int(end)) for start, end in row["spans"])
    return Reading(size=int(row["size"]), spans=spans, sha256=str(row["sha256"]), elf=container)


def _numbers(row: dict[str, Any]) -> dict[str, int]:
    if not all(type(value) is int for value in row.values()):
        raise TypeError(f"not numbers: {row}")
    return row


def _reader() -> list[Any]:
    """What this program, and the package of pyelftools, are known by."""
    for top in sys.path:
        path = f"{top}/elftools/__init__.py"
        with suppress(OSError):
            status = os.stat(path)
            return [__version__, path, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
    return [__version__]


def _is_used(root: Root) -> bool:
    return root.is_live and os.geteuid() == 0
