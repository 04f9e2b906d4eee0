# SPDX-License-Identifier: GPL-3.0-or-later
"""What a terminal is given: nothing that others wrote (a file, its name, a label, a tool's
words) moves its cursor.

Text is cleaned in one place, where it leaves this program: every line for a person goes through
`shown`. Colour is put into a line by `painted`, with marks that no file can know, and only `shown`
turns those into what a terminal obeys.
"""

import os

_MARK = f"\ufdd0{os.urandom(8).hex()}:"
REPLACEMENT = "?"


def printable(text: str) -> str:
    """`text` with a question mark for each character that is no letter, digit, sign or blank:
    controls, also of text direction.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else " " if character == "\t" else REPLACEMENT
        for character in text
    )


def painted(text: str, colour: str) -> str:
    """`text` in a colour (the parameters of ECMA-48's SGR), for `shown`."""
    return f"{_MARK}{colour}m{text}{_MARK}0m"


def shown(line: str) -> str:
    """`line` as a terminal may be given it: what `painted` marked is in colour, all else is
    printable.
    """
    first, *rest = line.split(_MARK)
    parts = (part.partition("m") for part in rest)
    return printable(first) + "".join(
        f"\033[{colour}m{printable(text)}" for colour, _, text in parts
    )


def printable_lines(text: str) -> str:
    """`text` of several lines, each of them printable."""
    return "\n".join(map(printable, text.split("\n")))


def as_json(value: object, *, is_ascii: bool = False) -> str:
    """`value` as JSON on one line that a terminal can be given, too; what it means is exact."""
    import json  # noqa: PLC0415 - a sync with nothing to do has no use for it

    text = json.dumps(value, ensure_ascii=is_ascii)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )
