"""GRUB's script language: text to a tree of statements. What the statements mean is for grub_cfg.

Source: the GRUB manual, "Writing full configuration files directly", and grub-core/script/{parser.y,yylex.l}.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from guest_hooks.errors import FormatError
from guest_hooks.formats.grub_budget import most_tokens

MAX_DEPTH = 24


class Quote(StrEnum):
    """Whether a part of a word is literal text, a variable outside quotes (split at blanks) or one inside double quotes."""

    TEXT = "text"
    BARE = "bare"
    QUOTED = "quoted"


class Part(NamedTuple):
    """One part of a word: literal text, or the name of a variable."""

    kind: Quote
    text: str


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its words and, for `menuentry` and its like, the block that follows them; `line` counts from 1."""

    words: tuple[Word, ...]
    block: "Statements | None"
    line: int


@dataclass(frozen=True, slots=True)
class Branch:
    """One arm of an `if`; `condition` is empty for `else`."""

    condition: "Statements"
    body: "Statements"


@dataclass(frozen=True, slots=True)
class If:
    """An `if` with its arms in order."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A `for`, `while` or `until`."""

    body: "Statements"


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: "Statements"


Statement = Command | If | Loop | Function
Statements = tuple[Statement, ...]


class _Token(NamedTuple):
    """A word, or (with an empty `word`) the separator or brace in `mark`; `mark` of a word is its text where nothing is quoted."""

    mark: str
    word: Word
    line: int


_SEPARATORS = re.compile(r"[\s;]+")
_SEPARATORS_ALONE = frozenset("\n;")
_TEXT = re.compile(r"[^\s;{}'\"$\\|&<>]+")
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?])")
_BRACE_IN_WORD = re.compile(r"\{[^\s;{}'\"$\\|&<>]*\}")
_RESERVED = frozenset({"then", "elif", "else", "fi", "do", "done", "in"})
_END = _Token("", (), 0)


def parse(text: str) -> Statements:
    """The statements of a script; raises `FormatError` (`grub-cfg-syntax`) with the line where it stops making sense."""
    parser = _Parser(_tokens(text))
    statements = parser.statements(frozenset(), 0)
    if parser.next is not _END:
        raise _error(parser.next.line, f"unexpected {parser.next.mark!r}")
    return statements


def _error(line: int, what: str) -> FormatError:
    return FormatError("grub-cfg-syntax", f"line {line}: {what}")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, line = 0, 1
    most = most_tokens(text)
    while at < len(text):
        character = text[at]
        if match := _SEPARATORS.match(text, at):
            run, at = match.group(), match.end()
            lines = run.count("\n")
            if (lines or ";" in run) and not (tokens and tokens[-1].mark in _SEPARATORS_ALONE):
                tokens.append(_Token(";" if ";" in run else "\n", (), line))
            line += lines
        elif character == "\\" and text.startswith("\\\n", at):
            at, line = at + 2, line + 1
        elif character == "#":
            at = (text.find("\n", at) + len(text) + 1) % (len(text) + 1)
        elif character in "{}":
            tokens.append(_Token(character, (), line))
            at += 1
        elif character in "|&<>":
            raise _error(line, f"{character!r} outside quotes")
        else:
            end, word = _word(text, at, line)
            plain = "".join(part.text for part in word) if word and all(part.kind is Quote.TEXT for part in word) else ""
            is_bare = text[at:end] == plain
            tokens.append(_Token(plain if is_bare else "", word, line))
            line += text.count("\n", at, end)
            at = end
        if len(tokens) > most:
            raise _error(line, "the file is too long to follow")
    return tokens


def _word(text: str, at: int, line: int) -> tuple[int, Word]:  # noqa: C901 - one arm a character
    parts: list[Part] = []
    while at < len(text):
        character = text[at]
        if match := _TEXT.match(text, at):
            parts.append(Part(Quote.TEXT, match.group()))
            at = match.end()
        elif character == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise _error(line, "a quote is not closed")
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
        elif character == "{" and parts and (match := _BRACE_IN_WORD.match(text, at)):
            parts.append(Part(Quote.TEXT, match.group()))
            at = match.end()
        else:
            break
    if not parts and at == len(text) - 1:
        raise _error(line, "the file ends in a backslash")
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
    raise _error(line, "a double quote is not closed")


def _dollar(text: str, at: int, kind: Quote, parts: list[Part]) -> int:
    match = _VARIABLE.match(text, at + 1)
    if match is None:
        if not (kind is Quote.BARE and text.startswith('"', at + 1)):  # $"…" is text to translate
            parts.append(Part(Quote.TEXT, "$"))
        return at + 1
    parts.append(Part(kind, match.group(1) or match.group(2)))
    return match.end()


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def statements(self, stops: frozenset[str], depth: int) -> Statements:
        if depth > MAX_DEPTH:
            raise _error(self.next.line, "nested too deeply to follow")
        found: list[Statement] = []
        while self.next is not _END:
            if not self.next.word and self.next.mark in "\n;":
                self._at += 1
            elif self.next.mark in stops:
                break
            else:
                found.append(self._statement(depth))
        return tuple(found)

    def _statement(self, depth: int) -> Statement:
        match self.next.mark:
            case "if":
                return self._if(depth)
            case "for" | "while" | "until":
                self._take(self.next.mark)
                self.statements(frozenset({"do"}), depth + 1)
                self._take("do")
                body = self.statements(frozenset({"done"}), depth + 1)
                self._take("done")
                return Loop(body)
            case "function":
                self._take("function")
                name = self._take_word()
                return Function(name.mark, self._block(depth))
            case _:
                return self._command(depth)

    def _if(self, depth: int) -> If:
        branches = []
        self._take("if")
        while True:
            condition = self.statements(frozenset({"then"}), depth + 1)
            self._take("then")
            body = self.statements(frozenset({"elif", "else", "fi"}), depth + 1)
            branches.append(Branch(condition, body))
            if self.next.mark != "elif":
                break
            self._take("elif")
        if self.next.mark == "else":
            self._take("else")
            branches.append(Branch((), self.statements(frozenset({"fi"}), depth + 1)))
        self._take("fi")
        return If(tuple(branches))

    def _command(self, depth: int) -> Command:
        words = []
        if self.next.mark in _RESERVED:
            raise _error(self.next.line, f"unexpected {self.next.mark!r}")
        first = self._take_word()
        words.append(first.word)
        while self.next.word:
            words.append(self._take_word().word)
        block = self._block(depth) if self.next.mark == "{" else None
        return Command(tuple(words), block, first.line)

    def _block(self, depth: int) -> Statements:
        while self.next.mark == "\n":
            self._at += 1
        self._take("{")
        body = self.statements(frozenset({"}"}), depth + 1)
        self._take("}")
        return body

    def _take_word(self) -> _Token:
        token = self.next
        if not token.word:
            raise _error(token.line or self._last_line(), f"unexpected {token.mark or 'end of file'!r}")
        self._at += 1
        return token

    def _take(self, mark: str) -> None:
        if self.next.mark != mark:
            raise _error(
                self.next.line or self._last_line(), f"expected {mark!r}, found {self.next.mark or 'the end of the file'!r}"
            )
        self._at += 1

    def _last_line(self) -> int:
        return self._tokens[-1].line if self._tokens else 1
