# SPDX-License-Identifier: GPL-3.0-or-later
"""Wall time and memory of whole commands, taken in turns so that a busy machine slows all of
them alike.

Stands alone: a copy of this file runs inside the guest, takes the commands as JSON on its standard
input and prints the figures. The commands get the environment of a login as root, whatever that of
the caller is.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}
FINE = (0, 3)
"""Exit codes of a run that did its work: 3 is a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, and a line of shell that prepares each run of it and does not count."""

    words: Sequence[str]
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The median wall time in milliseconds and the largest resident size in MiB of one command."""

    milliseconds: float
    mebibytes: float


def in_turns(commands: dict[str, Command], *, runs: int, warm: bool = True) -> dict[str, Figure]:
    """Run every command `runs` times, one after another in each round; with `warm`, a round
    before them does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    sizes: dict[str, int] = dict.fromkeys(commands, 0)
    for turn in range(runs + warm):
        for name, command in commands.items():
            if command.before:
                subprocess.run(
                    ["/bin/sh", "-c", command.before],
                    check=True,
                    env=ENVIRONMENT,
                    stdout=subprocess.DEVNULL,
                )
            seconds, kibibytes = _once(command.words)
            if turn >= warm:
                times[name].append(seconds)
                sizes[name] = max(sizes[name], kibibytes)
    return {
        name: Figure(
            milliseconds=statistics.median(times[name]) * 1000, mebibytes=sizes[name] / 1024
        )
        for name in commands
    }


def _once(words: Sequence[str]) -> tuple[float, int]:
    start = time.monotonic()
    process = subprocess.Popen(
        words,
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in FINE, (
        f"{words}: exit code {process.returncode}: {said.decode(errors='replace')}"
    )
    return seconds, usage.ru_maxrss


def main() -> None:
    """Measure what standard input asks for."""
    order = json.load(sys.stdin)
    commands = {name: Command(**each) for name, each in order["commands"].items()}
    figures = in_turns(commands, runs=order["runs"], warm=order["warm"])
    json.dump({name: asdict(figure) for name, figure in figures.items()}, sys.stdout)


if __name__ == "__main__":
    main()
