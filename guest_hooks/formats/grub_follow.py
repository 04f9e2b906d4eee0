# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a GRUB script on variables, as far as that is possible without running it.

GRUB keeps the block of an entry as text and runs it when the entry is chosen: with the variables as
the whole file left them. Sources: GRUB grub-core/script/execute.c, grub-core/normal/menu.c.
"""

import re
from collections.abc import Sequence

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_entry, grub_menu, grub_script
from guest_hooks.formats.grub_commands import HANDLERS, IN_DOUBT, LOADERS
from guest_hooks.formats.grub_menu import Boot, Entry
from guest_hooks.formats.grub_scope import Scope
from guest_hooks.formats.grub_script import Command, For, Function, If, Statements, While
from guest_hooks.formats.grub_state import LeaveError, Load, Pending, State, UnknownFileError
from guest_hooks.formats.grub_test import UNKNOWN

MAX_CALLS = 8
_COMMAND = re.compile(r"[A-Za-z0-9_.\[!-]+")
"""What GRUB's commands are called; a blank of another alphabet is a letter like all others."""
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


class Follower:
    """Runs statements on a state; `calls` counts the functions, files and menus around us."""

    def __init__(self, state: State, *, calls: int = 0) -> None:
        self.state = state
        self.calls = calls

    def follow(self, statements: Statements) -> None:
        """Follow a whole file or block."""
        try:
            self._run(statements)
        except LeaveError as left:
            self.state.lose(left.command)

    def entries(self) -> tuple[Entry, ...]:
        """The entries, each as it is when it is chosen; after all statements."""
        return tuple(self._entry(pending) for pending in self.state.pending)

    def _run(self, statements: Statements) -> bool | None:
        """Follow `statements`; the status of the last one, None where it is not known."""
        status: bool | None = True
        for statement in statements:
            self.state.scope.budget.spend()
            match statement:
                case If():
                    status = self._if(statement)
                case For():
                    status = self._for(statement)
                case While():
                    status = self._while(statement)
                case Function():
                    self.state.functions[statement.name] = statement.body
                    status = None if self.state.doubt else True
                case Command():
                    status = self._command(statement)
            self.state.scope.status = status
        return status

    def _if(self, statement: If) -> bool | None:
        for number, branch in enumerate(statement.branches):
            status = self._run(branch.condition) if branch.condition else True
            if status is None:
                for later in statement.branches[number:]:
                    self._in_doubt(later.body)
                return None
            if status:
                return self._run(branch.body)
        return True

    def _for(self, statement: For) -> bool | None:
        words = self.state.scope.words(statement.words)
        if any(UNKNOWN in word or _is_pattern(word) for word in words):
            self.state.set(statement.variable, None)
            self._in_doubt(statement.body)
            return None
        status: bool | None = True
        for word in words:
            self.state.set(statement.variable, word)
            status, is_last = self._turn(statement.body)
            if is_last:
                break
        return status

    def _while(self, statement: While) -> bool | None:
        while True:
            status = self._run(statement.condition)
            if status is None:
                self._in_doubt(statement.body)
                return None
            if status is statement.is_until:
                return True
            if self._turn(statement.body)[1]:
                return True

    def _turn(self, body: Statements) -> tuple[bool | None, bool]:
        """One turn of a loop: its status, and whether it is the last."""
        try:
            return self._run(body), False
        except LeaveError as left:
            if left.command == "return":
                raise
            return True, left.command == "break"

    def _in_doubt(self, body: Statements) -> None:
        self.state.doubt += 1
        self.follow(body)
        self.state.doubt -= 1

    def _command(self, command: Command) -> bool | None:
        words = self.state.scope.words(command.words)
        if not words:
            return True
        name, arguments = words[0], words[1:]
        if name in self.state.functions and command.block is None:
            return self._call(name, arguments)
        if assignment := _ASSIGNMENT.fullmatch(name):
            self.state.set(assignment[1], assignment[2])
            return True
        if name in ("source", "."):
            return self._source(arguments[0] if arguments else "")
        return self._builtin(name, arguments, command)

    def _builtin(self, name: str, arguments: list[str], command: Command) -> bool | None:
        if self._lacks(name):
            return False
        handler = HANDLERS.get(name)
        if handler is None:
            self.state.load.is_doubtful = True
            for variable in grub_entry.variables_set(arguments):
                self.state.set(variable, None)
            return None
        return handler(self.state, name, arguments, command)

    def _lacks(self, name: str) -> bool:
        """Whether this GRUB does not have the command `name`: it complains and goes on."""
        state = self.state
        is_one = name in LOADERS or not _COMMAND.fullmatch(name)
        if state.commands is None or not is_one or name in state.commands:
            return False
        if not state.doubt:
            state.load.lacking.append(name)
        elif not state.load.not_understood:
            state.load.not_understood = f"{name} {IN_DOUBT}"
        return True

    def _call(self, name: str, arguments: Sequence[str]) -> bool | None:
        if self.calls >= MAX_CALLS:
            self.state.lose(f"{name} calls itself")
            return None
        self.calls += 1
        outside, self.state.scope.arguments = self.state.scope.arguments, tuple(arguments)
        try:
            status = self._run(self.state.functions[name])
        except LeaveError as left:
            status = None
            if left.command != "return":
                raise
        finally:
            self.state.scope.arguments = outside
            self.calls -= 1
        return None if self.state.doubt else status

    def _source(self, path: str) -> bool | None:
        place = self.state.place(path)
        try:
            text = None if place is None else self.state.look(place)
        except UnknownFileError:
            place = None
        if place is None:
            self.state.lose(f"source {path}")
            return None
        if text is not None and self.calls < MAX_CALLS:
            self.calls += 1
            self.state.scope.budget.spend(characters=len(text))
            self._run(grub_script.read(text).statements)
            self.calls -= 1
        return True

    def _entry(self, pending: Pending) -> Entry:
        heading, command, state = pending.heading, pending.command, self.state
        if self.calls >= MAX_CALLS:
            raise FormatError(
                "grub-cfg-too-long", f"line {command.line}: submenus nested too deeply to follow"
            )
        state.scope.budget.spend(items=len(state.load.modules))
        scope = (
            state.scope.submenu(heading.arguments)
            if pending.is_submenu
            else state.scope.copy(heading.arguments)
        )
        if pending.is_submenu:
            scope.variables["timeout"] = "0"  # menu.c: grub_menu_execute_entry
        inside = Follower(state.inside(scope), calls=self.calls + 1)
        inside.follow(command.block or ())
        entries = inside.entries() if pending.is_submenu else ()
        state.unclear += inside.state.unclear
        load = inside.state.load
        return Entry(
            title=heading.title.replace(UNKNOWN, "?"),
            id=heading.id,
            line=command.line,
            is_submenu=pending.is_submenu,
            entries=entries,
            boot=None if pending.is_submenu else _boot(load),
            not_understood=load.not_understood or (IN_DOUBT if pending.is_in_doubt else ""),
            asks=not heading.is_unrestricted and _is_set(state.scope, "superusers"),
            lacking=tuple(dict.fromkeys(load.lacking)),
            does=load.does,
            is_doubtful=load.is_doubtful,
            waits=grub_menu.waits(scope.variables) if pending.is_submenu else False,
            sets_default=pending.is_submenu and "default" in scope.variables,
            default=scope.variables.get("default"),
        )


def _boot(load: Load) -> Boot | None:
    """What an entry starts that has asked for `load`; None where that is no kernel."""
    if not load.kernel:
        return None
    return Boot(
        device=load.device,
        command=load.command,
        kernel=load.kernel,
        arguments=load.arguments,
        initrds=tuple(load.initrds),
        modules=tuple(dict.fromkeys(load.modules)),
    )


def _is_set(scope: Scope, name: str) -> bool | None:
    """Whether a variable is set, to an empty value or another; None where that is not known."""
    return None if scope.variables.get(name, "") is None else name in scope.variables


def _is_pattern(word: str) -> bool:
    """Whether GRUB may find files or devices by this word; which, is not known here."""
    return word.startswith(("*", "/", "(")) and not set(word).isdisjoint("*?[")
