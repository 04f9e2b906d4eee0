# SPDX-License-Identifier: GPL-3.0-or-later
"""What a word that is none of ours was probably meant to be."""

from collections.abc import Iterable

LETTERS_A_SLIP = 3
"""A word may have a slip for each so many of its letters, rounded."""
BEGINNING = 3
"""Letters that a name is known by, where no other begins with them."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The name of `known` that `word` is near to: a slip or two away, or its beginning; empty where
    there is none.
    """
    names = {_letters(name): name for name in known}
    letters = _letters(word)
    begun = [name for name in names if name.startswith(letters)]
    if len(letters) >= BEGINNING and len(begun) == 1:
        return names[begun[0]]
    slips = {
        name: _slips(letters, name)
        for name in names
        # --update-grub is no slip for --no-update-grub
        if name.startswith("no") is letters.startswith("no")
    }
    best = min(slips, key=lambda name: slips[name], default="")
    is_near = best and slips[best] <= (min(len(letters), len(best)) + 1) // LETTERS_A_SLIP
    return names[best] if is_near and len(letters) > 1 else ""


def _letters(name: str) -> str:
    """What tells one name from another: the dashes before an option do not."""
    return name.lower().lstrip("-").replace("_", "-")


def _slips(word: str, name: str) -> int:
    """How many letters were left out, added, changed or exchanged with the next."""
    before: list[int] = []
    last = list(range(len(name) + 1))
    for row, letter in enumerate(word, 1):
        this = [row]
        for column, other in enumerate(name, 1):
            best = min(last[column] + 1, this[-1] + 1, last[column - 1] + (letter != other))
            is_exchanged = (
                row > 1 and column > 1 and word[row - 2 : row] == other + name[column - 2]
            )
            this.append(min(best, before[column - 2] + 1) if is_exchanged else best)
        before, last = last, this
    return last[-1]
