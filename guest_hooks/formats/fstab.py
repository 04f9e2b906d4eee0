# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of fstab(5)."""

from dataclasses import dataclass

_ESCAPES = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))
_NO_FILES = frozenset(("swap", "ignore"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line: `what` is mounted at `where` (absolute, without a trailing slash), as
    `fs_type`, with `options`.
    """

    what: str
    where: str
    fs_type: str
    options: tuple[str, ...] = ()

    @property
    def subvolume(self) -> str:
        """The btrfs subvolume of `subvol=`, as a path from the top of the file system; empty
        where none is named.
        """
        given = [
            option.removeprefix("subvol=")
            for option in self.options
            if option.startswith("subvol=")
        ]
        return f"/{given[-1].strip('/')}" if given else ""


def parse(text: str) -> tuple[Entry, ...]:
    """The lines that mount something in the tree of directories, in their order; lines of
    another shape are passed over.
    """
    rows = (line.split() for line in text.splitlines())
    return tuple(
        Entry(
            what=_unescape(fields[0]),
            where=_unescape(fields[1]).rstrip("/") or "/",
            fs_type=fields[2] if len(fields) > 2 else "auto",
            options=tuple(fields[3].split(",")) if len(fields) > 3 else (),
        )
        for fields in rows
        if len(fields) > 1
        and fields[0][0] != "#"
        and fields[1][0] == "/"
        and _NO_FILES.isdisjoint(fields[2:3])
    )


def at(entries: tuple[Entry, ...], where: str) -> Entry | None:
    """The entry that is mounted last at `where`."""
    return next((entry for entry in reversed(entries) if entry.where == where), None)


def _unescape(field: str) -> str:
    for escape, character in _ESCAPES:
        field = field.replace(escape, character)
    return field
