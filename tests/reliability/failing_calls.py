# SPDX-License-Identifier: GPL-3.0-or-later
"""One call by which a verb looks at the guest's tree fails, each in its turn: what the verb
exits with, and what it says.

Run as a program inside a lab: it loads the software once and forks for each point. It writes a line
a point, empty where nothing was wrong.
"""

import ast
import builtins
import errno
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from guest_hooks import cli, preflight, sync
from guest_hooks.cli.verbs import run_sync, show_preflight, show_status
from guest_hooks.report import as_journal, boot_chain
from tests.support.fault_lab import TARGET, Lab

VERBS = ("status", "preflight", "sync", "sync --dry-run")
LOADED = (cli, as_journal, preflight, sync, boot_chain, run_sync, show_status, show_preflight)
"""Before the calls fail."""
THIS = "tests.reliability.failing_calls"

ERRORS = (
    "EIO",
    "EMFILE",
    "ENFILE",
    "ENOMEM",
    "ELOOP",
    "ENAMETOOLONG",
    "ESTALE",
    "EUCLEAN",
    "ENODEV",
    "EACCES",
)
EXHAUSTED = ("EMFILE", "ENFILE", "ENOMEM")
CALLS = ("open", "stat", "lstat", "listdir", "scandir", "read", "readlink", "statvfs")
NEVER = 1 << 30
OURS = ("/dev/null", "/proc/self/fd")
"""What no tree and no device answers for."""


def points(words: list[str], most: int) -> Iterator[str]:
    """The lines for `words`, a command line, at `most` calls evenly chosen from all, with each
    error by turns.
    """
    usual, count, _ = _ended(words, NEVER, "EIO")
    errors = itertools.cycle(ERRORS)
    for number in range(min(most, count)):
        at, name = number * count // min(most, count), next(errors)
        code, _, said = _ended(words, at, name)
        # What has nothing to do with the tree is no reason for another verdict on it; all else may
        # be.
        right = (usual, 4, 7) if name in EXHAUSTED else (0, 3, 4, 5, 7)
        wrong = (
            code not in right
            or "Traceback" in said
            or "internal error" in said
            or "internal error" in said
        )
        yield (
            f"{' '.join(words)}: {name} at call {at} of {count}: exit code {code}: {said[-300:]!r}"
            if wrong
            else ""
        )


def sweep(lab: Lab, verb: str, most: int) -> list[str]:
    """A string for each of `most` points of `verb` in a lab where all is as it should be, empty
    where nothing was wrong.
    """
    words = ["/usr/bin/python3", "-m", THIS, str(most), *verb.split(), f"--target={TARGET}"]
    done = lab.run(*words, timeout=10 + most)
    assert done.returncode == 0, done.stderr
    return [ast.literal_eval(line) for line in done.stdout.splitlines()]


def _ended(words: list[str], at: int, error: str) -> tuple[int, int, str]:
    """The exit code of a child that runs `words` with its call number `at` failing, how many it
    made, and what it said.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as counted:
        pid = os.fork()
        if pid == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os._exit(_run(words, at, error, counted.fileno()))
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        counted.seek(0)
        return (
            os.waitstatus_to_exitcode(status),
            int(counted.read() or 0),
            said.read().decode(errors="replace"),
        )


def _run(words: list[str], at: int, error: str, counted: int) -> int:
    calls = itertools.count()
    made = 0

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            if arguments and isinstance(arguments[0], str) and arguments[0].startswith(OURS):
                return call(*arguments, **named)
            made = next(calls) + 1
            if made - 1 == at:
                code = getattr(errno, error)
                raise OSError(
                    code,
                    os.strerror(code),
                    *(arguments[:1] if isinstance(arguments[0], str) else ()),
                )
            return call(*arguments, **named)

        return instead

    for name in CALLS:
        setattr(os, name, failing(getattr(os, name)))
    builtins.open = failing(builtins.open)
    code = 1
    try:
        code = cli.main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(counted, str(made).encode())
    return code


def main() -> None:
    """`failing_calls MOST VERB WORDS…`."""
    for line in points(sys.argv[2:], int(sys.argv[1])):
        sys.stdout.write(f"{line!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
