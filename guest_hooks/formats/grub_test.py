"""The conditions of GRUB's `test` and `[`, answered where they can be.

Source: GRUB grub-core/commands/test.c.
"""

from collections.abc import Callable

MAX_WORDS = 64
UNKNOWN = "\ufffe"
"""Stands in a word for a variable whose value is not known."""


def evaluate(words: list[str], is_file: Callable[[str], bool | None]) -> bool | None:  # noqa: C901, PLR0911, PLR0912 - one arm a form
    """Whether the condition `words` holds, None where that can't be told; `is_file` answers for -e, -f and -s."""
    if len(words) > MAX_WORDS:
        return None
    if "-o" in words:
        at = words.index("-o")
        results = evaluate(words[:at], is_file), evaluate(words[at + 1 :], is_file)
        return True if True in results else None if None in results else False
    if "-a" in words:
        at = words.index("-a")
        results = evaluate(words[:at], is_file), evaluate(words[at + 1 :], is_file)
        return False if False in results else None if None in results else True
    match words:
        case ["!", *rest]:
            result = evaluate(rest, is_file)
            return None if result is None else not result
        case []:
            return False
        case [_, *_] if UNKNOWN in "".join(words):
            return None
        case [one]:
            return one != ""
        case ["-n", text]:
            return text != ""
        case ["-z", text]:
            return text == ""
        case ["-s" | "-f" | "-e", path]:
            return is_file(path)
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case _:
            return None
