# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL before system calls by which a run, or the grub-install it started, touches the file
system, and what GRUB reads then.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from guest_hooks.errors import ExitCode
from tests.reliability import scenario
from tests.reliability.scenario import Scenario
from tests.support import freezing
from tests.support.fault_lab import Lab

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fchmod",
    "fsync",
    "fdatasync",
    "syncfs",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "ioctl",
)
_PLACES = re.compile(r"/boot\b|/var/lib/xen-guest-bootloader|\.xen-guest-bootloader")
_READS = re.compile(
    r"^openat\((?!.*O_CREAT|.*O_TRUNC|.*O_RDWR|.*O_WRONLY)|^ioctl\(.*(TCGETS|TIOC|BLK)|^write\([12]<"
)
_MOST_OF_A_CHILD = {
    "openat": 2000,
    "write": 400,
    "fsync": 400,
    "mkdir": 40,
    "ioctl": 40,
    "unlink": 400,
    "rename": 400,
}
"""Beyond what any process that a run starts comes to, above all its grub-install."""
_HERE = re.compile("AT_FDCWD<[^>]*>")
_MODULE = re.compile(
    r"x86_64-xen\.xen-guest-bootloader-new(/|>, \")|x86_64-xen/\w+\.(mod|lst)|/locale/|/fonts/"
)
"""One of the hundreds of files of a module directory, which all are written alike."""


# Until they are two seconds old, the files of a directory are read at each look, after that once: a
# number of calls that depends on how long the run takes, and so on what else the machine does.
EACH_LOOK_READS = """
import sys
from guest_hooks.machine import directory
directory.SETTLED = 1e9
from guest_hooks import cli
sys.exit(cli.main())
"""


class Victim(StrEnum):
    """Who is killed: the run itself, the grub-install it waits for, or everything at once."""

    RUN = "the run alone"
    CHILD = "grub-install"
    ALL = "all its processes"


@dataclass(frozen=True, slots=True)
class Point:
    """One system call of a run: its name, which of that name it is, and strace's line."""

    call: str
    number: int
    line: str

    @property
    def shown(self) -> str:
        """How its line begins, without the directory in which the sweep was started."""
        return _HERE.sub("AT_FDCWD", self.line)[:120]


def repeatable(lab: Lab, made: Scenario) -> list[str]:
    """What does the scenario's work with the same system calls each time, however long it takes."""
    words = scenario.command(lab, made)
    return words if made.plain else [words[0], "-c", EACH_LOOK_READS, *words[3:]]


def points(lab: Lab, made: Scenario) -> list[Point]:
    """Every system call with which the scenario's run changes something, in their order."""
    log = Path(lab.work / "strace")
    lab.fresh(made.start_disk)
    lab.run(
        "strace",
        "-y",
        "-e",
        f"trace={','.join(CALLS)}",
        "-e",
        "signal=none",
        "-o",
        str(log),
        *repeatable(lab, made),
    )
    return _changes(log)


def _changes(log: Path) -> list[Point]:
    counts: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        call = line.partition("(")[0]
        if call in CALLS:
            counts[call] += 1
            if _PLACES.search(line.rpartition(" = ")[0]) and not _READS.match(line):
                found.append(Point(call, counts[call], line))
    assert found, "strace saw nothing"
    return found


def inject(point: Point, action: str, *, log: str = "/dev/null") -> list[str]:
    """The tracer that does `action` (`signal=KILL`, `error=EIO`) at that point, and says so in
    `log`.
    """
    # Each process has a count of its own: where none that a run starts comes so far, the kernel can
    # pick out the calls that matter, for which strace must follow them all. Otherwise it stops the
    # run alone, at every call; only there it can send signals, too.
    is_quick = action.startswith("error") and point.number > _MOST_OF_A_CHILD.get(point.call, 0)
    quickly = ["-f", "--seccomp-bpf"] if is_quick else []
    when = f"inject={point.call}:{action}:when={point.number}"
    return ["strace", *quickly, "-o", log, "-e", f"trace={point.call}", "-e", when]


def spread(found: Sequence[Point], *, single: int, alike: int) -> list[Point]:
    """Of the points that are not those of one file of many in a module directory at most
    `single`, of those at most `alike`.
    """
    kinds: dict[str, list[Point]] = {}
    for point in found:
        kinds.setdefault(point.call if _MODULE.search(point.line) else "", []).append(point)
    taken = _evenly(kinds.pop("", []), single)
    for number, group in enumerate(kinds.values()):
        taken += _evenly(group, alike // len(kinds) + (number < alike % len(kinds)))
    return sorted(taken, key=found.index)


def _evenly(found: Sequence[Point], most: int) -> list[Point]:
    most = min(most, len(found))
    return [found[(2 * index + 1) * len(found) // (2 * most)] for index in range(most)]


def sweep(lab: Lab, made: Scenario, chosen: Sequence[Point]) -> Iterator[str]:
    """Kill a run at each of the points; for each, what was broken or an empty string."""
    for point in chosen:
        fault = _killed_at(lab, made, point)
        yield f"{made.name}: killed before {point.shown}: {fault}" if fault else ""


def child_points(lab: Lab, made: Scenario) -> list[Point]:
    """Every system call with which the grub-install of the scenario's run changes something."""
    log = lab.work / "strace.child"
    lab.fresh(made.start_disk)
    with _grub_install(
        lab, ["strace", "-y", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", "-o", str(log)]
    ):
        lab.run(*scenario.command(lab, made))
    return _changes(log)


def child_sweep(lab: Lab, made: Scenario, chosen: Sequence[Point], victim: Victim) -> Iterator[str]:
    """Kill the grub-install that a run waits for, or both, at each of the points; for each,
    what was broken or an empty string.
    """
    for point in chosen:
        lab.fresh(made.start_disk)
        # Process 1 of a namespace can't kill itself, so it is a shell that waits; with it the
        # kernel kills all others.
        command = [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
        ]
        after = "kill -KILL -1" if victim is Victim.ALL else ":"
        with _grub_install(lab, inject(point, "signal=KILL"), after=after):
            done = lab.run(*command, *scenario.command(lab, made))
        expected = (128 + signal.SIGKILL,) if victim is Victim.ALL else (ExitCode.NOT_REPAIRED,)
        fault = (
            f"it ended with {done.returncode}: {done.stderr[-300:]}"
            if done.returncode not in expected
            else ""
        )
        fault = fault or _left(lab, made)
        yield f"{made.name}: {victim} killed before {point.shown}: {fault}" if fault else ""


def timed_sweep(lab: Lab, made: Scenario, count: int) -> Iterator[str]:
    """Kill at `count` moments spread over a run, everything or only the run, whatever it starts
    staying; what was broken.
    """
    lab.fresh(made.start_disk)
    begin = time.monotonic()
    lab.run(*scenario.command(lab, made))
    length = time.monotonic() - begin
    for number in range(count):
        lab.fresh(made.start_disk)
        victim = (Victim.RUN, Victim.ALL)[number % 2]
        moment = length * (number + 0.5) / count
        _kill_after(lab, made, moment, victim)
        fault = _left(lab, made)
        yield (
            f"{made.name}: {victim} killed after {moment:.2f} s of {length:.2f} s: {fault}"
            if fault
            else ""
        )


def _kill_after(lab: Lab, made: Scenario, moment: float, victim: Victim) -> None:
    """Start the scenario's run and kill it after `moment` seconds."""
    everything = ["unshare", "--pid", "--fork", "--kill-child"] if victim is Victim.ALL else []
    command = lab.command(*everything, *scenario.command(lab, made))
    with subprocess.Popen(
        command, env=lab.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        process.kill()


@contextmanager
def _grub_install(lab: Lab, tracer: Sequence[str], *, after: str = ":") -> Iterator[None]:
    """Let the lab's commands find a grub-install that runs the real one under `tracer`, and
    `after` when that was killed.
    """
    real, script = lab.work / "grub-install.real", lab.work / "grub-install"
    shutil.copy(os.path.realpath("/usr/sbin/grub-install"), real)
    traced = shlex.join([*tracer, str(real)])
    script.write_text(
        f'#!/bin/sh\n{traced} "$@"\ncode=$?\n[ $code -ne 137 ] || {after}\nexit $code\n'
    )
    script.chmod(0o755)
    try:
        yield
    finally:
        script.unlink()


def _killed_at(lab: Lab, made: Scenario, point: Point) -> str:
    lab.fresh(made.start_disk)
    done = lab.run(*inject(point, "signal=KILL"), *repeatable(lab, made))
    if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f"it was not killed, but ended with {done.returncode}: {done.stderr[-200:]}"
    return _left(lab, made)


def _left(lab: Lab, made: Scenario) -> str:
    """What is wrong with what a killed run left."""
    if not freezing.is_writable(lab.work / "boot"):
        return "the file system was left frozen"
    (lab.work / "boot/is-writable").unlink()
    at_once = made.fault(lab.view())
    lab.settle()
    later = made.fault(lab.view())
    if at_once or later:
        return f"{at_once or later} ({'at once' if at_once else 'when written back'})"
    return "" if made.plain else scenario.after(lab, made)
