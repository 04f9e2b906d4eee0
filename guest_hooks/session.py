"""One run of the command line: its options, its tree, and how it speaks.

Machine output goes to stdout, words for people that nothing silences to stderr.
"""

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine.root import Root
from guest_hooks.prose import Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every verb is given."""

    options: argparse.Namespace
    root: Root
    style: Style

    def say(self, lines: Sequence[str]) -> None:
        """Words for a person, on stdout; nothing with `--quiet` or `--json`."""
        if not self.options.quiet and not self.options.json and lines:
            with stdout():
                print("\n".join(lines))

    def answer(self, table: dict[str, Any]) -> None:
        """The one object of `--json`."""
        if self.options.json:
            with stdout():
                print(json.dumps(table, ensure_ascii=False))

    def step(self, what: str) -> AbstractContextManager[None]:
        """Show a step of a long run where a person watches; with `--json`, the object may go to that same terminal."""
        if self.options.quiet or self.options.json:
            return nullcontext()
        from guest_hooks import progress  # noqa: PLC0415 - only where a person watches

        return progress.shown(what, sys.stderr)


@contextmanager
def stdout() -> Iterator[None]:
    """Turn what keeps the block from being written to standard output into an error with an exit code of its own."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        say_no_more()
        kind = LackingError if error.errno in (errno.ENOSPC, errno.EDQUOT) else NotRepairedError
        raise kind(f"standard output could not be written: {error.strerror}", hint="what was asked for is done") from error


def complain(lines: Sequence[str]) -> None:
    """Words for a person on stderr, which neither `--quiet` nor `--json` silences."""
    for line in lines:
        print(line, file=sys.stderr)


def say_no_more() -> None:
    """Let what is not written yet go nowhere when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
