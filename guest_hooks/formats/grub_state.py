# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GRUB script has done so far: variables, what is to be loaded, entries, and what of it
is not certain.
"""

from collections.abc import Callable, Mapping

from guest_hooks.formats.grub_entry import Heading
from guest_hooks.formats.grub_scope import Scope
from guest_hooks.formats.grub_script import Command, Statements
from guest_hooks.formats.grub_test import UNKNOWN
from guest_hooks.records import dataclass, field, replace


class UnknownFileError(LookupError):
    """Whether a file is there can't be told from here."""


Look = Callable[[str], str | None]
"""The text of a file by GRUB's path, None where there is none; raises `UnknownFileError` where
that can't be told.
"""


Exists = Callable[[str], bool | None]
"""Whether a file that is not empty is there, by GRUB's path with its device; None where that can't
be told.
"""


class LeaveError(Exception):
    """`return`, `break` or `continue` was met."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


@dataclass(slots=True)
class Load:
    """What one entry's block has asked for so far."""

    command: str = ""
    device: str = ""
    kernel: str = ""
    arguments: tuple[str, ...] = ()
    initrds: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    not_understood: str = ""
    lacking: list[str] = field(default_factory=list)
    does: str = ""
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An entry as its line was met; its block runs when the file has been read."""

    heading: Heading
    command: Command
    is_submenu: bool
    is_in_doubt: bool


@dataclass(slots=True, kw_only=True)
class State:
    """All that commands change; `doubt` counts the conditions around us that could not be
    decided.

    `commands` are those of this GRUB, None where they are not known. The menu `is_whole` while no
    command has made entries, or shown another menu, that are not known.
    """

    scope: Scope
    grubenv: Mapping[str, str] | None
    look: Look
    exists: Exists | None = None
    functions: dict[str, Statements] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    pending: list[Pending] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    commands: frozenset[str] | None = None
    doubt: int = 0
    is_whole: bool = True

    def inside(self, scope: Scope) -> "State":
        """The state in which an entry's block begins: its own variables, load and entries."""
        return replace(
            self,
            scope=scope,
            load=Load(modules=[*self.load.modules]),
            pending=[],
            unclear=[],
            doubt=0,
        )

    def set(self, variable: str, value: str | None) -> None:
        """Set a variable, to what is not known where the command may not run at all."""
        if variable == "root" and value and value[0] + value[-1] == "()":
            value = value[1:-1]  # grub-core/kern/main.c: grub_env_write_root
        self.scope.variables[variable] = (
            None if self.doubt or (value is not None and UNKNOWN in value) else value
        )

    def lose(self, what: str) -> None:
        """Say that nothing which follows `what` is certain."""
        self.unclear.append(what)
        self.doubt += 1
        self.load.is_doubtful = True
        self.is_whole = False

    def place(self, path: str) -> str | None:
        """`path` with its device, $root where it names none; None where $root is not known."""
        device = self.scope.variables.get("root", "")
        if path.startswith("("):
            return path
        return None if device is None else f"({device}){path}"

    def is_file(self, path: str) -> bool | None:
        """Whether GRUB finds a file; None where that can't be told."""
        if path.endswith("/grubenv"):
            return self.grubenv is not None
        if self.exists is not None:
            place = self.place(path)
            return self.exists(place) if place is not None else None
        try:
            return self.look(path) is not None
        except UnknownFileError:
            return None
