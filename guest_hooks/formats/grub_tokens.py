# SPDX-License-Identifier: GPL-3.0-or-later
"""The words and separators of GRUB's script language.

Source: GRUB grub-core/script/yylex.l.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from guest_hooks.errors import FormatError
from guest_hooks.formats.grub_budget import most_tokens


class Quote(StrEnum):
    """Whether a part of a word is literal text, a variable outside quotes (split at blanks) or
    one inside double quotes.
    """

    TEXT = "text"
    BARE = "bare"
    QUOTED = "quoted"


class Part(NamedTuple):
    """One part of a word: literal text, or the name of a variable."""

    kind: Quote
    text: str


Word = tuple[Part, ...]


class Token(NamedTuple):
    """A word, or (with an empty `word`) the separator or brace in `mark`; `mark` of a word is
    its text where nothing is quoted.
    """

    mark: str
    word: Word
    line: int


BLANKS = " \t\n\r"
"""grub_isspace; another blank is a letter like all others."""
_BLANKS = re.compile(rf"[{BLANKS}]+")
_TEXT = re.compile(rf"[^{BLANKS};{{}}'\"$\\|&<>]+")
_VARIABLE = re.compile(
    r"\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?])"
)
RESERVED = frozenset({"then", "elif", "else", "fi", "do", "done", "in"})
END = Token("", (), 0)
UNENDED = "what does not end"
"""The mark of a quote or a backslash that the file ends in."""


def refused(line: int, what: str) -> FormatError:
    """The error of a line that makes no sense."""
    return FormatError("grub-cfg-syntax", f"line {line}: {what}")


def tokens(text: str) -> list[Token]:
    """The tokens of `text`; raises `FormatError` (`grub-cfg-syntax`) where they are too many."""
    found: list[Token] = []
    at, line = 0, 1
    most = most_tokens(text)
    while at < len(text):
        character = text[at]
        if match := _BLANKS.match(text, at):
            lines, at = match.group().count("\n"), match.end()
            if lines and not (found and found[-1].mark == "\n"):
                found.append(Token("\n", (), line))
            line += lines
        elif character in ";{}|&<>":
            found.append(Token(character, (), line))
            at += 1
        elif character == "\\" and text.startswith("\\\n", at):
            at, line = at + 2, line + 1
        elif character == "#":
            at = (text.find("\n", at) + len(text) + 1) % (len(text) + 1)
        else:
            try:
                end, word = _word(text, at, line)
            except FormatError:
                return [*found, Token(UNENDED, (), line)]
            plain = (
                "".join(part.text for part in word)
                if word and all(part.kind is Quote.TEXT for part in word)
                else ""
            )
            is_bare = text[at:end] == plain
            found.append(Token(plain if is_bare else "", word, line))
            line += text.count("\n", at, end)
            at = end
        if len(found) > most:
            raise refused(line, "the file is too long to follow")
    return found


def _word(text: str, at: int, line: int) -> tuple[int, Word]:
    parts: list[Part] = []
    while at < len(text):
        character = text[at]
        if match := _TEXT.match(text, at):
            parts.append(Part(Quote.TEXT, match.group()))
            at = match.end()
        elif character == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise refused(line, "a quote is not closed")
            parts.append(Part(Quote.TEXT, text[at + 1 : end]))
            at = end + 1
        elif character == '"':
            at = _double_quoted(text, at + 1, line, parts)
        elif character == "\\" and at + 1 < len(text):
            if text[at + 1] != "\n":
                parts.append(Part(Quote.TEXT, text[at + 1]))
            at += 2
        elif character == "$":
            at = _dollar(text, at, Quote.BARE, parts)
        else:
            break
    if not parts and at == len(text) - 1:
        raise refused(line, "the file ends in a backslash")
    return at, tuple(parts)


def _double_quoted(text: str, at: int, line: int, parts: list[Part]) -> int:
    parts.append(Part(Quote.TEXT, ""))
    while at < len(text):
        character = text[at]
        if character == '"':
            return at + 1
        if character == "\\" and at + 1 < len(text):
            escaped = text[at + 1]
            if escaped != "\n":
                parts.append(Part(Quote.TEXT, escaped if escaped in '$"\\' else "\\" + escaped))
            at += 2
        elif character == "$":
            at = _dollar(text, at, Quote.QUOTED, parts)
        else:
            end = at + 1
            while end < len(text) and text[end] not in '"\\$':
                end += 1
            parts.append(Part(Quote.TEXT, text[at:end]))
            at = end
    raise refused(line, "a double quote is not closed")


def _dollar(text: str, at: int, kind: Quote, parts: list[Part]) -> int:
    match = _VARIABLE.match(text, at + 1)
    if match is None:
        if not (kind is Quote.BARE and text.startswith('"', at + 1)):  # $"…" is text to translate
            parts.append(Part(Quote.TEXT, "$"))
        return at + 1
    parts.append(Part(kind, match.group(1) or match.group(2)))
    return match.end()
