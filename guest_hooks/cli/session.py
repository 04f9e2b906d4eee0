# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the command line: its options, its tree, and how it speaks.

Machine output goes to stdout, words for people that nothing silences to stderr.
"""

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from guest_hooks import terminal
from guest_hooks.cli.options import Options
from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import streams
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass
from guest_hooks.report import layout
from guest_hooks.report.layout import Style
from guest_hooks.report.next_steps import Given


def given_by(options: Options) -> Given:
    """What the command line gave."""
    return Given(
        root=options.root if options.root != "/" else "",
        targets=tuple(options.target),
        config=options.config or "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every verb is given: `style` is for stdout, `error_style` for stderr."""

    options: Options
    root: Root
    style: Style
    error_style: Style

    @property
    def given(self) -> Given:
        """What this run was given, for the next steps that it names."""
        return given_by(self.options)

    def say(self, lines: Sequence[str], *, is_wrong: bool = False) -> None:
        """What a person asked to see, on stdout; nothing with `--json`, and with `--quiet` only
        what `is_wrong`.
        """
        if (is_wrong or not self.options.quiet) and not self.options.json and lines:
            with stdout():
                sys.stdout.write("".join(f"{terminal.shown(line)}\n" for line in lines))
                sys.stdout.flush()

    def note(self, lines: Sequence[str]) -> None:
        """What was done, on stdout, under the same conditions; where it can't be written, it is
        done all the same.
        """
        if not self.options.quiet and not self.options.json:
            streams.say(self.wrapped(lines), sys.stdout)

    def wrapped(self, lines: Sequence[str]) -> list[str]:
        """Sentences for stdout: a terminal would break them in the middle of a word, or of a
        command.
        """
        if not sys.stdout.isatty():
            return [*lines]
        rows = (layout.step(line, self.style, first=(), indent=0, hang=2) for line in lines)
        return [row for wrapped in rows for row in wrapped]

    def answer(self, table: dict[str, Any]) -> None:
        """The one object of `--json`."""
        if self.options.json:
            with stdout():
                sys.stdout.write(
                    f"{terminal.as_json(table, is_ascii=not streams.takes_unicode(sys.stdout))}\n"
                )
                sys.stdout.flush()

    def step(self, what: str) -> AbstractContextManager[None]:
        """Show a step of a long run where a person watches; with `--json`, the object may go to
        that same terminal.
        """
        if self.options.quiet or self.options.json:
            return nullcontext()
        from guest_hooks.report import progress  # noqa: PLC0415 - only where a person watches

        return progress.shown(what, sys.stderr)


@contextmanager
def stdout() -> Iterator[None]:
    """Turn what keeps the block from being written to standard output into an error with an
    exit code of its own.

    A reader that has gone has seen what it wanted: no error.
    """
    try:
        yield
    except BrokenPipeError:
        streams.mute(sys.stdout)
    except OSError as error:
        streams.mute(sys.stdout)
        kind = LackingError if error.errno in (errno.ENOSPC, errno.EDQUOT) else NotRepairedError
        raise kind(
            f"standard output could not be written: {error.strerror}",
            hint="what was asked for is done",
        ) from error
