# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's variables while a script runs, and what the words of a command become.

Sources: GRUB grub-core/script/execute.c (grub_script_arglist_to_argv), grub-core/kern/env.c,
grub-core/normal/context.c.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from guest_hooks.formats.grub_budget import ITEMS_A_STEP, Budget
from guest_hooks.formats.grub_test import UNKNOWN
from guest_hooks.formats.grub_tokens import BLANKS, Quote, Word

_WORDS = re.compile(rf"[^{BLANKS}]+")


class Scope:
    """Variables (None: set, to what is not known), which of them a submenu sees, and the
    arguments of the block that runs.
    """

    def __init__(
        self, variables: Mapping[str, str | None], exported: Iterable[str], budget: Budget
    ) -> None:
        self.variables = dict(variables)
        self.exported = set(exported)
        self.arguments: tuple[str, ...] | None = None
        self.status: bool | None = True
        self.budget = budget

    def copy(self, arguments: Sequence[str]) -> "Scope":
        """The scope in which an entry's block runs."""
        self.budget.spend(items=len(self.variables))
        inside = Scope(self.variables, self.exported, self.budget)
        inside.arguments = tuple(arguments)
        return inside

    def submenu(self, arguments: Sequence[str]) -> "Scope":
        """The scope in which a submenu's block runs: it sees what was exported, and its default
        is its own.
        """
        inside = self.copy(arguments)
        inside.variables = {
            name: value
            for name, value in self.variables.items()
            if name in self.exported and name != "default"
        }
        return inside

    def words(self, words: Iterable[Word]) -> list[str]:
        """The words that a command gets."""
        return [text for word in words for text in self.expand(word)]

    def expand(self, word: Word) -> list[str]:
        """What one word becomes: a variable outside quotes is split at blanks, and vanishes
        where it is empty.
        """
        if len(word) == 1 and word[0].kind is Quote.TEXT:
            return [word[0].text]
        pieces: list[list[str]] = [[]]
        is_kept = False
        for part in word:
            if part.kind is Quote.TEXT:
                pieces[-1].append(part.text)
                is_kept = True
                continue
            texts = self._texts(part.text, is_quoted=part.kind is Quote.QUOTED)
            self.budget.spend(
                characters=sum(map(len, texts)), items=ITEMS_A_STEP * (len(texts) - 1)
            )
            is_kept = is_kept or part.kind is Quote.QUOTED or any(texts)
            pieces[-1] += texts[:1]
            pieces += ([text] for text in texts[1:])
        return ["".join(piece) for piece in pieces] if is_kept else []

    def _texts(self, name: str, *, is_quoted: bool) -> list[str]:
        """The value of a variable, cut where it ends a word."""
        if name == "@" and is_quoted:
            # Which words it leaves without arguments depends on what is beside it.
            return list(self.arguments or [UNKNOWN])
        value = self._value(name)
        text = UNKNOWN if value is None else value
        if is_quoted:
            return [text]
        # Whether what is not known has blanks in it, or vanishes, is not known, either.
        return [UNKNOWN] if UNKNOWN in text else _WORDS.findall(text)

    def _value(self, name: str) -> str | None:
        if name in ("@", "*"):
            return " ".join(self.arguments or ())
        if name == "#":
            return "" if self.arguments is None else str(len(self.arguments))
        if name == "?":
            return "0" if self.status else None
        if name.isdigit():
            index, arguments = int(name[:4]), self.arguments or ()
            return arguments[index - 1] if 0 < index <= len(arguments) else "" if index else None
        return self.variables.get(name, "")
