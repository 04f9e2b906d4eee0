# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of exit codes and the one family of expected failures.

An entry point catches `GuestHooksError`, prints `message` and `hint`, and exits with `exit_code`.
Everything else that is raised is an internal error (`ExitCode.FAULT`).
"""

from collections.abc import Iterable
from enum import IntEnum

from guest_hooks.problems.row import ProblemCode


class ExitCode(IntEnum):
    """What a verb's exit status means; the same table stands in xen-guest-bootloader(8)."""

    OK = 0
    FAULT = 1
    USAGE = 2
    DIFFERS = 3
    NOT_REPAIRED = 4
    NOT_APPLICABLE = 5
    LOCKED = 6
    LACKING = 7
    WOULD_NOT_BOOT = 8

    @property
    def meaning(self) -> str:
        """One line for the manual page and `--help`."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "as it should be, or made so",
    ExitCode.FAULT: "an internal error; its traceback is in the journal",
    ExitCode.USAGE: "wrong usage or configuration; nothing was changed",
    ExitCode.DIFFERS: (
        "not as it should be: status, preflight or sync --dry-run found something to do, or the"
        " next boot is known not to work"
    ),
    ExitCode.NOT_REPAIRED: "could not be repaired; what was there before is still there",
    ExitCode.NOT_APPLICABLE: (
        "not applicable here: no Xen guest, dom0, ARM, HVM, and no target named"
    ),
    ExitCode.LOCKED: "another run, or the package manager, held its lock to the end of the timeout",
    ExitCode.LACKING: (
        "something it needs is missing: grub-xen-bin, a mounted writable /boot, space, root"
    ),
    ExitCode.WOULD_NOT_BOOT: "hook kernel-postinst alone: this guest would not boot",
}


class GuestHooksError(Exception):
    """An expected failure: `message` names the thing and the cause, `hint` the next step (may
    be empty).
    """

    exit_code = ExitCode.NOT_REPAIRED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GuestHooksError):
    """The command line or the configuration asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class NotRepairedError(GuestHooksError):
    """The work was tried and failed; what was there before is still there: the file at `path`,
    where it is about one.
    """

    def __init__(self, message: str, *, hint: str = "", path: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class ForeignError(NotRepairedError):
    """What stands at `path` is another program's, and was left alone."""


class KeptError(NotRepairedError):
    """What stands at `path` would boot, what was made to replace it would not, and so the
    former was kept.

    `before` and `made` are the sha256 of the two.
    """

    def __init__(self, message: str, *, path: str, before: str, made: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, path=path)
        self.before = before
        self.made = made


class NotApplicableError(GuestHooksError):
    """There is nothing for this software to do on this machine."""

    exit_code = ExitCode.NOT_APPLICABLE


class LockedError(GuestHooksError):
    """Another run holds the lock."""

    exit_code = ExitCode.LOCKED


class LackingError(GuestHooksError):
    """Something outside this software is missing: a package, a mount, space, a right."""

    exit_code = ExitCode.LACKING


class UnmountedError(LackingError):
    """What the guest's boot mounts on the way to its boot files is not mounted: nothing may be
    written beneath.
    """


class FormatError(GuestHooksError):
    """Bytes are not of the format they were read as; `code` names the fault, for programs."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class CodedFormatError(FormatError):
    """A `FormatError` whose `code` is a problem's, as reports show it."""

    code: ProblemCode

    def __init__(self, code: ProblemCode, message: str, *, hint: str = "") -> None:
        super().__init__(code, message, hint=hint)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """The hint "did you mean …?" with the name of `known` that is nearest to `word`, or
    `otherwise`.
    """
    from guest_hooks.nearest import nearest  # noqa: PLC0415 - only for a slip

    found = nearest(word, known)
    return f"did you mean {found}?" if found else otherwise
