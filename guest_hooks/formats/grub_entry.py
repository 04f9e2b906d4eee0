# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of GRUB's commands `menuentry`, `submenu` and `search`.

Sources: GRUB grub-core/commands/{menuentry,search_wrap}.c, grub-core/lib/arg.c.
"""

import re
from collections.abc import Sequence

from guest_hooks.records import dataclass

ELSE = "|"
"""Stands in $root between what `search` looks for and what $root was before, where a search that
finds nothing leaves it (grub-core/commands/search.c).
"""
_DISK = re.compile(r"(?:hd|fd|cd|ata|ahci|usb|scsi|lvmid/|lvm/|mduuid/|md/|xen/|hostdisk/)\w")
_WITH_VALUE = frozenset({"--class", "--users", "--hotkey", "--source", "--id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What stands before an entry's block: `arguments` are $1 (the title) and on inside it.

    `is_unrestricted`: with `superusers` set, GRUB starts it without asking who is there.
    """

    title: str
    id: str
    arguments: tuple[str, ...]
    is_unrestricted: bool = False


def heading(words: Sequence[str]) -> Heading | None:
    """The heading that follows the word `menuentry` or `submenu`; None where GRUB refuses it
    and makes no entry.
    """
    arguments: list[str] = []
    identifier, is_unrestricted, has_users = "", False, False
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if word == "--":
            arguments += rest
        elif option == "--unrestricted" and not equals:
            is_unrestricted = True
        elif option in _WITH_VALUE:
            found = value if equals else next(rest, None)
            if found is None or option == "--source":  # a source stands in the place of a block
                return None
            identifier = found if option == "--id" else identifier
            has_users = has_users or option == "--users"
        elif word.startswith("-") and word != "-":
            return None
        else:
            arguments.append(word)
    if not arguments:
        return None
    title = arguments[0]
    return Heading(
        title=title,
        id=identifier or title,
        arguments=tuple(arguments),
        is_unrestricted=is_unrestricted and not has_users,
    )


def sought(command: str, words: Sequence[str]) -> tuple[str, str]:
    """Which variable `search` sets, and what it looks for as `fs-uuid/…`, `label/…` or `file/…`."""
    kind = {"search.fs_uuid": "fs-uuid", "search.fs_label": "label", "search.file": "file"}.get(
        command, ""
    )
    variable, key = "root", ""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        match option:
            case "--fs-uuid" | "-u":
                kind = "fs-uuid"
            case "--label" | "-l":
                kind = "label"
            case "--file" | "-f":
                kind = "file"
            case "--set":
                variable = value if equals else "root"
            case "-s" | "--no-floppy" | "-n":
                pass
            case _ if option.startswith("--hint"):
                if not equals:
                    next(rest, "")
            case _ if not key:
                key = word
            case _:
                break  # search.fs_uuid KEY VARIABLE HINT…
    return variable, f"{kind or 'file'}/{key}"


def after_search(found: str, before: str) -> str:
    """$root after a search for `found`, where it was `before`; the device that GRUB begins with is
    left out.
    """
    earlier = (each for each in before.split(ELSE) if "/" in each or _DISK.match(each))
    return ELSE.join(dict.fromkeys((found, *earlier)))


def split(path: str) -> tuple[str, str]:
    """The device that a path names, empty for none, and the path on it."""
    device, close, rest = path.partition(")")
    return (device[1:], rest) if device.startswith("(") and close else ("", path)


def variables_set(arguments: Sequence[str]) -> tuple[str, ...]:
    """The variables that a command sets which is told to by an option, as `probe --set=NAME` and
    `regexp -s 1:NAME`.
    """
    found = []
    for word, following in zip(arguments, (*arguments[1:], ""), strict=False):
        option, equals, value = word.partition("=")
        if option in ("--set", "--variable", "-s", "-v"):
            found.append((value if equals else following).rpartition(":")[2])
    return tuple(found)
