# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB Legacy's menu.lst as pvgrub-legacy reads it.

Sources: GRUB Legacy 0.97 stage2/stage2.c (get_line_from_config, cmain), stage2/builtins.c.
"""

import re
from collections.abc import Iterator, Sequence

from guest_hooks.records import dataclass

MOST_ENTRIES = 1000
COMMANDS = frozenset(
    """blocklist boot bootp cat chainloader clear cmp color configfile debug default device dhcp
    displayapm displaymem dump embed fallback find fstest geometry halt help hiddenmenu hide
    ifconfig impsprobe initrd install ioprobe kernel lock makeactive map md5crypt module
    modulenounzip pager partnew parttype password pause quit rarp read reboot root rootnoverify
    savedefault serial setkey setup splashimage terminal terminfo testload testvbe tftpserver
    timeout title unhide uppermem uuid vbeprobe""".split()
)
"""Lines that begin with any other word are passed over; a title that none of these follows is no
entry.
"""
_FILE = re.compile(r"(?P<drive>\([^)]*\))?(?P<path>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as an entry names it: on `drive`, `(hd0,0)`; empty where the entry says none."""

    drive: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyEntry:
    """One entry: the kernel that it loads (None: none), with its arguments and its initrd.

    `other` is a command in it that does something else: asks for a password, waits, reads a menu.
    """

    title: str
    kernel: File | None = None
    arguments: tuple[str, ...] = ()
    initrd: File | None = None
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyMenu:
    """The entries, which of them starts (None: what /boot/grub/default says), and after how many
    seconds (None: when a key is pressed).
    """

    entries: tuple[LegacyEntry, ...]
    default: int | None = 0
    fallbacks: tuple[int, ...] = ()
    timeout: int | None = None

    @property
    def chosen(self) -> LegacyEntry | None:
        """The entry that starts unattended, None where it is not known or there is none."""
        if not self.entries or self.default is None:
            return None
        if self.default < len(self.entries):
            return self.entries[self.default]
        valid = [number for number in self.fallbacks if number < len(self.entries)]
        return self.entries[valid[0] if valid else 0]


def parse(text: str) -> LegacyMenu:
    """The menu in `text`; lines that GRUB Legacy passes over are passed over."""
    entries: list[LegacyEntry] = []
    default: int | None = 0
    fallbacks: tuple[int, ...] = ()
    timeout: int | None = None
    title: str | None = None
    body: list[tuple[str, str]] = []
    for command, rest in _commands(text):
        if command == "title":
            entries += _entry(title, body)
            title, body = rest, []
        elif title is not None:
            body.append((command, rest))
        else:
            match command:
                case "default":
                    default = None if rest.startswith("saved") else _number(rest, default)
                case "timeout":
                    timeout = _number(rest, timeout)
                case "fallback":
                    fallbacks = tuple(int(word) for word in rest.split() if word.isdigit())
    entries += _entry(title, body)
    return LegacyMenu(
        entries=tuple(entries[:MOST_ENTRIES]), default=default, fallbacks=fallbacks, timeout=timeout
    )


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands and what follows each, blanks or an equals sign between them."""
    for line in re.sub(r"\\\n", " ", text.replace("\r", "").replace("\t", " ")).split("\n"):
        found = re.match(r" *([^ =]+)[ =]*(.*)", line)
        if found and found[1] in COMMANDS:
            yield found[1], found[2]


def _number(text: str, otherwise: int | None) -> int | None:
    found = re.match(r"\d{1,9}", text)
    return int(found[0]) if found else otherwise


def _entry(title: str | None, body: Sequence[tuple[str, str]]) -> list[LegacyEntry]:
    """The entry of one title; none where no command follows it."""
    if title is None or not body:
        return []
    root = ""
    kernel: File | None = None
    arguments: tuple[str, ...] = ()
    initrd: File | None = None
    other = ""
    for command, rest in body:
        words = [word for word in rest.split() if not word.startswith("--")]
        match command:
            case "root" | "rootnoverify":
                root = words[0] if words else root
            case "kernel":
                kernel, arguments = _file(words, root), tuple(words[1:])
            case "initrd":
                initrd = _file(words, root)
            case "boot" | "savedefault" | "color" | "serial" | "terminal" | "quiet" | "clear":
                pass
            case _:
                other = other or command
    return [
        LegacyEntry(title=title, kernel=kernel, arguments=arguments, initrd=initrd, other=other)
    ]


def _file(words: Sequence[str], root: str) -> File | None:
    found = _FILE.fullmatch(words[0]) if words else None
    return File(drive=found["drive"] or root, path=found["path"]) if found else None
