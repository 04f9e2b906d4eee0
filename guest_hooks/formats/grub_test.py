# SPDX-License-Identifier: GPL-3.0-or-later
"""The conditions of GRUB's `test` and `[`, answered where they can be.

Source: GRUB grub-core/commands/test.c: words are taken from left to right, with "and" between two
that nothing joins.
"""

import re
from collections.abc import Callable, Sequence

MAX_WORDS = 64
MAX_DIGITS = 20
UNKNOWN = "\ufffe"
"""Stands in a word for a variable whose value is not known."""
IsFile = Callable[[str], bool | None]
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")


def evaluate(words: Sequence[str], is_file: IsFile) -> bool | None:
    """Whether the condition `words` holds, None where that can't be told; `is_file` answers for
    -e, -f and -s.
    """
    if len(words) > MAX_WORDS:
        return None
    return _Condition(words, is_file).value()


class _Condition:
    """Words as far as they have been taken."""

    def __init__(self, words: Sequence[str], is_file: IsFile) -> None:
        self._words = words
        self._is_file = is_file
        self._at = 0

    def value(self) -> bool | None:
        """What the words up to a closing parenthesis, or the last one, come to; without any it
        is true.
        """
        earlier: bool | None = False
        here: bool | None = True
        is_inverted = False
        while self._at < len(self._words):
            match self._words[self._at]:
                case ")":
                    self._at += 1
                    break
                case "!" if self._operation() is None:
                    is_inverted = not is_inverted
                    self._at += 1
                case "-a" if self._operation() is None:
                    self._at += 1
                case "-o" if self._operation() is None:
                    earlier, here = _or(earlier, here), True
                    self._at += 1
                case _:
                    found = self._term()
                    here = _and(here, None if found is None else found is not is_inverted)
                    is_inverted = False
        return _or(earlier, here)

    def _operation(self) -> Callable[[str, str], bool | None] | None:
        """What compares this word with the next but one, if the next one does."""
        return (
            _OPERATIONS.get(self._words[self._at + 1]) if self._at + 2 < len(self._words) else None
        )

    def _term(self) -> bool | None:
        words, at = self._words, self._at
        if words[at] == "(":
            self._at += 1
            return self.value()
        operation = self._operation()
        if operation is not None:
            self._at += 3
            left, right = words[at], words[at + 2]
            return None if UNKNOWN in left + right else operation(left, right)
        if at + 1 < len(words) and words[at] in ("-d", "-e", "-f", "-s", "-n", "-z"):
            self._at += 2
            return self._unary(words[at], words[at + 1])
        self._at += 1
        return None if UNKNOWN in words[at] else words[at] != ""

    def _unary(self, operator: str, word: str) -> bool | None:
        if UNKNOWN in word:
            return None
        match operator:
            case "-n":
                return word != ""
            case "-z":
                return word == ""
            case "-d":
                return None
            case _:
                return self._is_file(word)


def _and(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


def _or(one: bool | None, other: bool | None) -> bool | None:
    return True if True in (one, other) else None if None in (one, other) else False


def _by_number(decide: Callable[[int], bool]) -> Callable[[str, str], bool | None]:
    def compare(left: str, right: str) -> bool | None:
        if (
            not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right))
            or max(len(left), len(right)) > MAX_DIGITS
        ):
            return None
        return decide(_number(left) - _number(right))

    return compare


def _number(digits: str) -> int:
    """As grub_strtol reads it, with a prefix for the base."""
    sign, bare = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    if bare[:2].lower() == "0x":
        return sign * int(bare, 16)
    is_octal = bare.startswith("0") and set(bare) <= set("01234567")
    return sign * int(bare, 8 if is_octal else 10)


_OPERATIONS: dict[str, Callable[[str, str], bool | None]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "-lt": _by_number(lambda difference: difference < 0),
    "-le": _by_number(lambda difference: difference <= 0),
    "-gt": _by_number(lambda difference: difference > 0),
    "-ge": _by_number(lambda difference: difference >= 0),
    "-eq": _by_number(lambda difference: difference == 0),
    "-ne": _by_number(lambda difference: difference != 0),
    **dict.fromkeys(("-nt", "-ot", "-pgt", "-plt"), lambda _, __: None),
}
