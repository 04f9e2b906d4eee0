# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's script language: text to a tree of statements. What the statements mean is for
grub_follow.

Source: the GRUB manual, "Writing full configuration files directly", and grub-core/script/parser.y.
"""

from functools import lru_cache

from guest_hooks.errors import FormatError
from guest_hooks.formats.grub_tokens import END, RESERVED, Token, Word, refused, tokens
from guest_hooks.records import dataclass

MAX_DEPTH = 24
RECENT = 4
"""Scripts: grub.cfg, what it sources, and one that is about to take its place."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its words and, for `menuentry` and its like, the block that follows them;
    `line` counts from 1.
    """

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
class For:
    """A `for` over words."""

    variable: str
    words: tuple[Word, ...]
    body: "Statements"


@dataclass(frozen=True, slots=True)
class While:
    """A `while`, or an `until`."""

    condition: "Statements"
    body: "Statements"
    is_until: bool


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: "Statements"


class TooDeepError(FormatError):
    """A script that GRUB may take, and that can't be followed here."""


Statement = Command | If | For | While | Function
Statements = tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What GRUB makes of a text: the statements that it runs, and why it refused the others."""

    statements: Statements
    refusals: tuple[FormatError, ...] = ()


def parse(text: str) -> Statements:
    """The statements of a script; raises `FormatError` (`grub-cfg-syntax`) with the line where
    it stops making sense.
    """
    script = read(text)
    if script.refusals:
        raise script.refusals[0]
    return script.statements


def read(text: str) -> Script:
    """A script as GRUB takes it: it reads a file line by line, each line with those that close what
    it opens. What makes no sense up to some word, it drops with the rest of that word's line, and
    goes on with the next.

    Raises `FormatError` where it is too long or too deep to follow. The last ones are kept: a
    grub.cfg is followed once for each question.
    """
    # grub-core/normal/main.c: read_config_file_getline, which skips all carriage returns
    found = _read(text)
    if isinstance(found, FormatError):
        raise found
    return found


@lru_cache(maxsize=RECENT)
def _read(text: str) -> Script | FormatError:
    try:
        return _Parser(tokens(text.replace("\r", ""))).script()
    except FormatError as error:
        return error


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def script(self) -> Script:
        found: list[Statement] = []
        refusals: list[FormatError] = []
        self._skip_newlines()
        while self.next is not END:
            try:
                found += self._line()
            except TooDeepError:
                raise
            except FormatError as error:
                refusals.append(error)
                while self.next is not END and self.next.mark != "\n":
                    self._at += 1
            self._skip_newlines()
        return Script(statements=tuple(found), refusals=tuple(refusals))

    def _line(self) -> Statements:
        """The statements up to the end of a line."""
        found = [self._statement(0)]
        while self.next.mark == ";":
            self._at += 1
            if self.next is END or self.next.mark == "\n":
                break
            found.append(self._statement(0))
        if self.next is not END and self.next.mark != "\n":
            raise refused(self.next.line, f"unexpected {self.next.mark or 'word'!r}")
        return tuple(found)

    @property
    def next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else END

    def statements(self, stops: frozenset[str], depth: int) -> Statements:
        if depth > MAX_DEPTH:
            raise TooDeepError(
                "grub-cfg-syntax", f"line {self.next.line}: nested too deeply to follow"
            )
        found: list[Statement] = []
        self._skip_newlines()
        while self.next is not END and self.next.mark not in stops:
            found.append(self._statement(depth))
            if self.next is not END and self.next.mark not in ("\n", ";", "}"):
                raise refused(self.next.line, "a command begins where another has not ended")
            if self.next.mark == ";":
                self._at += 1
            self._skip_newlines()
        return tuple(found)

    def _body(self, stops: set[str], depth: int) -> Statements:
        """What stands between two reserved words, where GRUB wants at least one command."""
        statements = self.statements(frozenset(stops), depth + 1)
        if not statements:
            raise refused(
                self.next.line or self._last_line(),
                f"nothing stands before {self.next.mark or 'the end of the file'!r}",
            )
        return statements

    def _skip_newlines(self) -> None:
        while self.next.mark == "\n":
            self._at += 1

    def _statement(self, depth: int) -> Statement:
        match self.next.mark:
            case "if":
                return self._if(depth)
            case "for":
                return self._for(depth)
            case "while" | "until" as word:
                self._take(word)
                condition = self._body({"do"}, depth)
                return While(condition, self._loop_body(depth), word == "until")
            case "function":
                self._take("function")
                name = self._take_word()
                return Function(name.mark, self._block(depth))
            case _:
                return self._command(depth)

    def _for(self, depth: int) -> For:
        self._take("for")
        variable = self._take_word()
        self._take("in")
        words = []
        while self.next.word:
            words.append(self._take_word().word)
        if self.next.mark == ";":
            self._at += 1
        self._skip_newlines()
        return For(variable.mark, tuple(words), self._loop_body(depth))

    def _loop_body(self, depth: int) -> Statements:
        self._take("do")
        body = self._body({"done"}, depth)
        self._take("done")
        return body

    def _if(self, depth: int) -> If:
        branches = []
        self._take("if")
        while True:
            condition = self._body({"then"}, depth)
            self._take("then")
            body = self._body({"elif", "else", "fi"}, depth)
            branches.append(Branch(condition, body))
            if self.next.mark != "elif":
                break
            self._take("elif")
        if self.next.mark == "else":
            self._take("else")
            branches.append(Branch((), self._body({"fi"}, depth)))
        self._take("fi")
        return If(tuple(branches))

    def _command(self, depth: int) -> Command:
        words = []
        if self.next.mark in RESERVED:
            raise refused(self.next.line, f"unexpected {self.next.mark!r}")
        first = self._take_word()
        words.append(first.word)
        while self.next.word:
            words.append(self._take_word().word)
        block = self._block(depth) if self.next.mark == "{" else None
        return Command(tuple(words), block, first.line)

    def _block(self, depth: int) -> Statements:
        self._skip_newlines()
        self._take("{")
        body = self._body({"}"}, depth)
        self._take("}")
        return body

    def _take_word(self) -> Token:
        token = self.next
        if not token.word:
            raise refused(
                token.line or self._last_line(), f"unexpected {token.mark or 'end of file'!r}"
            )
        self._at += 1
        return token

    def _take(self, mark: str) -> None:
        if self.next.mark != mark:
            raise refused(
                self.next.line or self._last_line(),
                f"expected {mark!r}, found {self.next.mark or 'the end of the file'!r}",
            )
        self._at += 1

    def _last_line(self) -> int:
        return self._tokens[-1].line if self._tokens else 1
