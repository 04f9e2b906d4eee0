# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's menu as a value: the entries, what each would load, and which of them starts unattended.

Source: GRUB grub-core/normal/menu.c.
"""

import re
from collections.abc import Iterator, Mapping

from guest_hooks.records import dataclass

MAX_DIGITS = 20
"""A number with more does not fit grub_strtoul, and names no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What an entry loads: paths as GRUB names them on `device`.

    `device` is `fs-uuid/…`, `label/…` or `file/…` as `search` looks for it, a GRUB device name, or
    empty for $root as it was.
    """

    device: str
    command: str
    kernel: str
    arguments: tuple[str, ...]
    initrds: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the menu: a submenu has `entries`, one that loads a kernel `boot`;
    `not_understood` says why not, or is empty.

    `asks` says that GRUB asks for a user's name before it starts it (None: not known), `lacking`
    are commands in it that this GRUB does not have, `does` is one in it that loads nothing and
    ends or waits, and one that `is_doubtful` has commands of which nothing is known. A submenu that
    `sets_default` does not start what the default says behind its own name, but `default` (None:
    not known); `waits` is that of the menu that it opens.
    """

    title: str
    id: str
    line: int
    is_submenu: bool = False
    entries: "tuple[Entry, ...]" = ()
    boot: Boot | None = None
    not_understood: str = ""
    asks: bool | None = False
    lacking: tuple[str, ...] = ()
    does: str = ""
    is_doubtful: bool = False
    waits: bool | None = False
    sets_default: bool = False
    default: str | None = None

    def all(self) -> "Iterator[Entry]":
        """This entry, or every entry below it."""
        if self.is_submenu:
            for entry in self.entries:
                yield from entry.all()
        else:
            yield self


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """What the file leaves behind: the entries, the variables (None: set, to what is not
    known), and what could not be followed.

    `waits` says that GRUB starts nothing until a key is pressed (None: not known). One that is not
    `is_whole` has entries that are not known, or another menu is shown in its place. `refused` is
    what GRUB refuses and goes on behind.
    """

    entries: tuple[Entry, ...]
    variables: Mapping[str, str | None]
    not_understood: tuple[str, ...] = ()
    waits: bool | None = False
    is_whole: bool = True
    refused: tuple[str, ...] = ()

    def all(self) -> Iterator[Entry]:
        """Every entry that is no submenu, in order."""
        for entry in self.entries:
            yield from entry.all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The entry that boots unattended.

    `wanted` is the default as it is set, `is_named` says that it names an entry, `is_sure` that it
    is known; `way` are the submenus that GRUB opens on the way, and the entry.
    """

    entry: Entry | None
    wanted: str
    is_named: bool = True
    is_sure: bool = True
    way: tuple[Entry, ...] = ()


def waits(variables: Mapping[str, str | None]) -> bool | None:
    """Whether a menu with these variables waits for a key (menu.c: grub_menu_get_timeout); None
    where its timeout is not known.
    """
    if "timeout" not in variables:
        return True
    value = variables["timeout"]
    if value is None:
        return None
    digits = re.match(r"\s*(?:0[xX]([0-9a-fA-F]+)|([0-9]+))", value)
    if digits is None:
        return True
    seconds = int(digits[1], 16) if digits[1] else int(digits[2][:MAX_DIGITS])
    return seconds % (1 << 32) >= 1 << 31  # an int of 32 bits, and less than 0


def default(menu: Menu) -> Choice:
    """The entry that GRUB starts when nobody touches a key (menu.c: get_entry_number,
    grub_menu_execute_entry).
    """
    value = menu.variables.get("default", "")
    is_sure = value is not None and menu.is_whole
    wanted = rest = value or ""
    entries, named, entry = menu.entries, True, None
    way: list[Entry] = []
    while entries:
        index, found, is_certain = _number(entries, rest)
        named, is_sure = named and (found or rest == ""), is_sure and is_certain
        entry = entries[index]
        way.append(entry)
        if not entry.is_submenu:
            break
        rest = re.sub(r"^(?:>>|[^>])*(?:>|$)", "", rest, count=1)
        if entry.sets_default:
            rest, is_sure = entry.default or "", is_sure and entry.default is not None
        entries = entry.entries
    return Choice(
        entry=entry,
        wanted=wanted,
        is_named=named,
        is_sure=is_sure and entry is not None,
        way=tuple(way),
    )


def fallbacks(menu: Menu, choice: Choice) -> tuple[tuple[Choice, ...], bool]:
    """The entries that GRUB tries one after another where `choice` fails, and whether these are
    known to be all (menu.c: get_and_remove_first_entry_number).

    A title counts since 2.12 alone; and a submenu does not see what is set outside of it.
    """
    rest = menu.variables.get("fallback", "")
    found: list[Choice] = []
    if len(choice.way) > 1:
        return (), True
    while rest and (number := re.match(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+)\s*", rest)):
        index, is_there, _ = _number(menu.entries, number[1])
        if not is_there:
            return tuple(found), True
        entry = menu.entries[index]
        if entry.is_submenu:
            return tuple(found), False
        found.append(Choice(entry=entry, wanted=number[1], way=(entry,)))
        rest = rest[number.end() :]
    return tuple(found), rest == "" or (rest is not None and not _number(menu.entries, rest)[1])


def _number(entries: tuple[Entry, ...], wanted: str) -> tuple[int, bool, bool]:
    """The index that `wanted` means, 0 where it means none; whether it names an entry; whether
    every GRUB agrees.
    """
    name = re.match(r"(?:>>|[^>])*", wanted)
    key = (name.group() if name else "").replace(">>", ">")
    by_name = next(
        (index for index, entry in enumerate(entries) if key in (entry.title, entry.id) and key),
        None,
    )
    if number := re.match(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+)", wanted):
        digits = number.group(1)
        base = (
            16
            if digits[:2].lower() == "0x"
            else 8
            if digits.startswith("0") and set(digits) <= set("01234567")
            else 10
        )
        index = int(digits, base) if len(digits) <= MAX_DIGITS else len(entries)
        fits = index < len(entries)
        # an entry's name that begins with a digit: GRUB up to 2.12 takes the number, some
        # distributions' the name
        is_certain = by_name is None and key.strip() == digits
        return index if fits else 0, fits, is_certain
    return (by_name, True, True) if by_name is not None else (0, False, True)
