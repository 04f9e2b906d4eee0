"""Following a GRUB script on variables, as far as that is possible without running it.

Sources: GRUB grub-core/commands/{search_wrap,loadenv}.c, grub-core/normal/main.c.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_script, grub_test
from guest_hooks.formats.grub_budget import ITEMS_A_STEP, Budget
from guest_hooks.formats.grub_commands import INITRDS, LOADERS, OTHER_LOADERS
from guest_hooks.formats.grub_menu import Boot, Entry
from guest_hooks.formats.grub_script import Command, Function, If, Loop, Quote, Statements, Word

MAX_CALLS = 8


class UnknownFileError(LookupError):
    """Whether a file is there can't be told from here."""


Look = Callable[[str], str | None]
"""The text of a file by GRUB's path, None where there is none; raises `UnknownFileError` where that can't be told."""


@dataclass(slots=True)
class _Load:
    """What one entry's block has asked for so far."""

    command: str = ""
    device: str = ""
    kernel: str = ""
    arguments: tuple[str, ...] = ()
    initrds: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    not_understood: str = ""


class Follower:
    """Runs statements on variables; `doubt` counts the conditions around us that could not be decided."""

    def __init__(
        self,
        variables: Mapping[str, str | None],
        grubenv: Mapping[str, str] | None,
        look: Look,
        budget: Budget,
    ) -> None:
        self.variables = dict(variables)
        self.grubenv = grubenv
        self.look = look
        self.entries: list[Entry] = []
        self.unclear: list[str] = []
        self.load = _Load()
        self.functions: dict[str, Statements] = {}
        self.doubt = 0
        self.calls = 0
        self.budget = budget

    def run(self, statements: Statements) -> bool | None:
        """Follow `statements`; the status of the last one, None where it is not known."""
        status: bool | None = True
        for statement in statements:
            self.budget.spend()
            match statement:
                case If():
                    self._if(statement)
                case Loop():
                    self._in_doubt(statement.body)
                case Function():
                    self.functions[statement.name] = statement.body
                case Command():
                    status = self._command(statement)
        return status

    def _if(self, statement: If) -> None:
        for number, branch in enumerate(statement.branches):
            status = self.run(branch.condition) if branch.condition else True
            if status is None:
                for later in statement.branches[number:]:
                    self._in_doubt(later.body)
                return
            if status:
                self.run(branch.body)
                return

    def _in_doubt(self, body: Statements) -> None:
        self.doubt += 1
        self.run(body)
        self.doubt -= 1

    def _command(self, command: Command) -> bool | None:
        words = [text for word in command.words for text in self._expand(word)]
        if not words:
            return True
        name, arguments = words[0], words[1:]
        if self.calls < MAX_CALLS and name in self.functions and command.block is None:
            self.calls += 1
            self.run(self.functions[name])
            self.calls -= 1
            return None
        assignment = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", name, re.DOTALL)
        if assignment and not arguments:
            self._set(assignment[1], assignment[2])
            return True
        return self._builtin(name, arguments, command)

    def _builtin(self, name: str, arguments: list[str], command: Command) -> bool | None:  # noqa: C901, PLR0911, PLR0912 - one arm a command
        match name:
            case "menuentry" | "submenu":
                self._entry(name == "submenu", arguments, command)
            case "set":
                for argument in arguments:
                    variable, _, value = argument.partition("=")
                    self._set(variable, value)
            case "unset":
                for variable in arguments:
                    self.variables.pop(variable, None)
            case "load_env":
                self._load_env(arguments)
            case "search" | "search.fs_uuid" | "search.fs_label" | "search.file":
                self._search(name, arguments)
                return None
            case "[" | "test":
                return self._test(arguments[:-1] if name == "[" else arguments)
            case "true":
                return True
            case "false":
                return False
            case "insmod":
                self.load.modules += arguments
            case "source" | ".":
                self._source(arguments)
            case _ if name in LOADERS and arguments:
                self._loader(name, arguments)
            case _ if name in INITRDS and arguments:
                self.load.initrds += (
                    arguments[:1] if name.startswith(("module", "xen")) else [a.removeprefix("newc:") for a in arguments]
                )
            case _ if name in OTHER_LOADERS:
                self.load.not_understood = f"line {command.line}: {name}"
                self.unclear.append(f"line {command.line}: {name}")
            case "export" | "echo" | "save_env" | "terminal_output" | "terminal_input" | "serial" | "clear" | "boot" | "sleep":
                return True
            case _:
                return None
        return True

    def _entry(self, is_submenu: bool, arguments: list[str], command: Command) -> None:
        title, identifier = "", ""
        rest = iter(arguments)
        for argument in rest:
            if argument.startswith("--"):
                option, equals, value = argument.partition("=")
                value = value if equals or option == "--unrestricted" else next(rest, "")
                identifier = value if option == "--id" else identifier
            elif not title:
                title = argument
        self.budget.spend(items=len(self.variables) + len(self.load.modules))
        inside = Follower(self.variables, self.grubenv, self.look, self.budget)
        inside.functions, inside.calls = self.functions, self.calls + 1
        inside.load.modules += self.load.modules
        if inside.calls > MAX_CALLS:
            raise FormatError("grub-cfg-too-long", f"line {command.line}: submenus nested too deeply to follow")
        inside.run(command.block or ())
        load = inside.load
        boot = Boot(
            device=load.device,
            command=load.command,
            kernel=load.kernel,
            arguments=load.arguments,
            initrds=tuple(load.initrds),
            modules=tuple(dict.fromkeys(load.modules)),
        )
        why = load.not_understood or ("inside a condition that can't be decided" if self.doubt else "")
        self.unclear += inside.unclear
        self.entries.append(
            Entry(
                title=title,
                id=identifier or title,
                line=command.line,
                is_submenu=is_submenu,
                entries=tuple(inside.entries),
                boot=boot if load.kernel and not is_submenu else None,
                not_understood=why,
            )
        )

    def _loader(self, name: str, arguments: list[str]) -> None:
        load = self.load
        load.command, load.initrds, load.device = name, [], self.variables.get("root") or ""
        load.kernel, load.arguments = arguments[0], tuple(arguments[1:])
        if self.doubt and not load.not_understood:
            load.not_understood = f"{name} inside a condition that can't be decided"

    def _set(self, variable: str, value: str) -> None:
        self.variables[variable] = None if self.doubt else value

    def _load_env(self, arguments: list[str]) -> None:
        names = [argument for argument in arguments if not argument.startswith("-")]
        for variable, value in (self.grubenv or {}).items():
            if not names or variable in names:
                self._set(variable, value)

    def _search(self, name: str, arguments: list[str]) -> None:
        kind = {"search.fs_uuid": "fs-uuid", "search.fs_label": "label", "search.file": "file"}.get(name, "")
        variable, key = "root", ""
        rest = iter(arguments)
        for argument in rest:
            option, equals, value = argument.partition("=")
            match option:
                case "--fs-uuid" | "-u":
                    kind = "fs-uuid"
                case "--label" | "-l":
                    kind = "label"
                case "--file" | "-f":
                    kind = "file"
                case "--set":
                    variable = value if equals else "root"
                case "-s" | "--no-floppy" | "-n":
                    pass
                case _ if option.startswith("--hint"):
                    if not equals:
                        next(rest, "")
                case _ if not key:
                    key = argument
                case _:
                    break  # search.fs_uuid KEY VARIABLE HINT…
        self._set(variable, f"{kind or 'file'}/{key}")

    def _source(self, arguments: list[str]) -> None:
        path = arguments[0] if arguments else ""
        try:
            text = self.look(path)
        except UnknownFileError:
            self.unclear.append(f"source {path}")
            return
        if text is not None and self.calls < MAX_CALLS:
            self.calls += 1
            self.budget.spend(characters=len(text))
            self.run(grub_script.parse(text))
            self.calls -= 1

    def _test(self, words: list[str]) -> bool | None:
        return grub_test.evaluate(words, self._is_file)

    def _is_file(self, path: str) -> bool | None:
        if path.endswith("/grubenv"):
            return self.grubenv is not None
        try:
            return self.look(path) is not None
        except UnknownFileError:
            return None

    def _expand(self, word: Word) -> list[str]:
        """The words that `word` becomes: a variable outside quotes is split at blanks, and vanishes where it is empty."""
        if len(word) == 1 and word[0].kind is Quote.TEXT:
            return [word[0].text]
        pieces: list[list[str]] = [[]]
        is_kept = False
        for part in word:
            if part.kind is Quote.TEXT:
                pieces[-1].append(part.text)
                is_kept = True
                continue
            value = self.variables.get(part.text, "")
            text = grub_test.UNKNOWN if value is None else value
            self.budget.spend(characters=len(text))
            if part.kind is Quote.QUOTED:
                pieces[-1].append(text)
                is_kept = True
            else:
                first, *more = text.split() or [""]
                self.budget.spend(items=ITEMS_A_STEP * len(more))
                pieces[-1].append(first)
                pieces += ([each] for each in more)
                is_kept = is_kept or bool(text)
        return ["".join(piece) for piece in pieces] if is_kept else []
