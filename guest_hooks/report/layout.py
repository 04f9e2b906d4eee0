# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for a terminal: words wrapped at its width with a hanging indent, in few colours that each
have one meaning.

Text is a sequence of spans, each in one `Kind`; it is wrapped first and painted then, so that no
colour reaches over a line's end.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby

from guest_hooks import terminal
from guest_hooks.records import dataclass

NARROWEST = 40
"""Columns; a terminal that says it has fewer is written to as if it had these."""
PROGRAMS = frozenset(
    "apt chmod df dmesg dpkg echo findmnt fsfreeze grub-editenv grub-install grub-mkconfig"
    " grub-probe grub-set-default journalctl ls mkdir mount mv rm sh sudo sysctl systemctl"
    " update-grub update-initramfs xen-guest-bootloader".split()
)
"""What a command of a next step begins with."""
NO_BREAK = "\u00a0"
"""Stands for a blank at which no line is broken; shown as a blank."""


class Kind(StrEnum):
    """What a colour means: nothing, all is well, the guest or a repair fails, look at this, the
    name of a row.
    """

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    LOOK = "look"
    NAME = "name"


class Palette(StrEnum):
    """What the terminal can show."""

    NONE = "none"
    BASIC = "basic"
    RICH = "rich"


COLOURS = {
    # ECMA-48's eight colours are the terminal's choice. No usual palette has a green for white, and
    # the console's red for black is the bold one: what is good stays plain.
    Palette.BASIC: {Kind.BAD: "1;31", Kind.LOOK: "35", Kind.NAME: "1"},
    # Of xterm's 256 colours those of middle brightness: a contrast of more than 3.8 to black and to
    # white.
    Palette.RICH: {
        Kind.GOOD: "38;5;28",
        Kind.BAD: "38;5;160",
        Kind.LOOK: "38;5;130",
        Kind.NAME: "1",
    },
}

Span = tuple[str, Kind]
Text = Sequence[Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How lines are laid out: in which colours, how wide (0: not wrapped), and whether details and
    codes are shown.
    """

    palette: Palette = Palette.NONE
    width: int = 0
    verbose: bool = False

    def paint(self, text: str, kind: Kind) -> str:
        """`text` in the colour for `kind`, or as it is; `terminal.shown` makes it what a terminal
        obeys.
        """
        colour = COLOURS.get(self.palette, {}).get(kind)
        return terminal.painted(text, colour) if colour and text else text


def palette(term: str, colorterm: str = "") -> Palette:
    """What a terminal with these values of TERM and COLORTERM can show."""
    if term in ("dumb", "unknown"):
        return Palette.NONE
    return (
        Palette.RICH if "256color" in term or colorterm in ("truecolor", "24bit") else Palette.BASIC
    )


def plain(text: str) -> Text:
    """`text` without a colour."""
    return ((text, Kind.PLAIN),)


def row(name: str, text: Text, style: Style, *, column: int) -> list[str]:
    """`text` beside its `name`, which stands in the first `column` characters."""
    return block(
        text, style, first=((name.ljust(column - 1) + NO_BREAK, Kind.NAME),), indent=column
    )


def block(text: Text, style: Style, *, first: Text = (), indent: int, hang: int = 0) -> list[str]:
    """`text` behind `first`, whose width is `indent`; further lines begin with `indent` and
    `hang` blanks.
    """
    room = max(style.width, NARROWEST) - indent if style.width else 0
    lead = "".join(style.paint(part, kind) for part, kind in first) or " " * indent
    lines = _lines(_words(text), room, hang)
    shown = [_painted(line, style) for line in lines] or [""]
    starts = (lead, *(" " * (indent + hang) for _ in shown[1:]))
    rows = (f"{start}{line}" for start, line in zip(starts, shown, strict=True))
    return [row.replace(NO_BREAK, " ").rstrip() for row in rows]


def step(hint: str, style: Style, *, first: Text, indent: int, hang: int = 0) -> list[str]:
    """A next step behind `first`, as a `block`; a command in it is never broken, so that it can be
    pasted: where it does not fit it has a line of its own, which the terminal wraps.
    """
    room = max(style.width, NARROWEST) - indent if style.width else len(hint)
    lines: list[str] = []
    text = ""
    ways = hint.split("; ")
    for way in ways:
        end = "" if way is ways[-1] else ";"
        words, command = _divided(way)
        if len(command) + len(end) > room:
            lines += block(plain(f"{text}{words}"), style, first=first, indent=indent, hang=hang)
            lines.append(f"  {command}")
            first, text = (), ""
        else:
            text += " ".join(filter(None, (words, unbroken(command)))) + f"{end} "
    rest = block(plain(text), style, first=first, indent=indent, hang=hang) if text else []
    return lines + rest


def _divided(way: str) -> tuple[str, str]:
    """One way of a next step: the words before the command that it comes to, and that one, which
    may be empty.
    """
    words, colon, command = way.rpartition(": ")
    program = command.partition(" ")[0]
    is_word = not colon and program == "mount"
    if program in PROGRAMS and not is_word:
        return f"{words}{colon}".rstrip(), command
    return way, ""


def unbroken(text: str) -> str:
    """`text` as one word for `block`, such as a command to be pasted."""
    return text.replace(" ", NO_BREAK)


def _words(text: Text) -> list[list[Span]]:
    """The words of `text`, each of one or more spans that no blank divides."""
    words: list[list[Span]] = [[]]
    for part, kind in text:
        for number, piece in enumerate(part.split(" ")):
            if number and words[-1]:
                words.append([])
            if piece:
                words[-1].append((piece, kind))
    return [word for word in words if word]


def _lines(words: Iterable[list[Span]], room: int, hang: int) -> list[list[list[Span]]]:
    lines: list[list[list[Span]]] = []
    left = 0
    for word in words:
        need = sum(len(part) for part, _ in word)
        if lines and (not room or need + 1 <= left):
            lines[-1].append(word)
            left -= need + 1
        else:
            lines.append([word])
            left = room - need - (hang if len(lines) > 1 else 0)
    return lines


def _painted(words: Sequence[list[Span]], style: Style) -> str:
    """The words with blanks between them, each run of one kind painted as a whole."""
    spans: list[Span] = []
    for word in words:
        if spans:
            spans.append((" ", word[0][1] if spans[-1][1] is word[0][1] else Kind.PLAIN))
        spans += word
    runs = groupby(spans, key=lambda span: span[1])
    return "".join(style.paint("".join(part for part, _ in run), kind) for kind, run in runs)
