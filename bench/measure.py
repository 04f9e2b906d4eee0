"""Wall time and memory of whole commands, taken in turns so that a busy machine slows all of them alike."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The median wall time in milliseconds and the largest resident size in MiB of one command, over `runs` runs."""

    name: str
    milliseconds: float
    mebibytes: float
    runs: int


def in_turns(commands: dict[str, Sequence[str]], *, runs: int) -> dict[str, Figure]:
    """Run every command `runs` times, one after another in each round; the first round warms the caches and does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    sizes: dict[str, int] = dict.fromkeys(commands, 0)
    for turn in range(runs + 1):
        for name, command in commands.items():
            seconds, kibibytes = _once(command)
            if turn:
                times[name].append(seconds)
                sizes[name] = max(sizes[name], kibibytes)
    return {
        name: Figure(name=name, milliseconds=statistics.median(times[name]) * 1000, mebibytes=sizes[name] / 1024, runs=runs)
        for name in commands
    }


def _once(command: Sequence[str]) -> tuple[float, int]:
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command}: exit code {process.returncode}: {words.decode(errors='replace')}"
    return seconds, usage.ru_maxrss
