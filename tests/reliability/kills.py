"""SIGKILL before each system call by which a run touches the file system, and what GRUB reads afterwards."""

import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import scenario
from tests.reliability.scenario import Scenario
from tests.support import images
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
_READS = re.compile(r"^openat\((?!.*O_CREAT|.*O_TRUNC|.*O_RDWR|.*O_WRONLY)|^ioctl\(.*(TCGETS|TIOC|BLK)")
_OFTEN = ("write", "fchmod", "openat", "unlinkat", "unlink")


@dataclass(frozen=True, slots=True)
class Point:
    """One system call of a run: its name, which of that name it is, and strace's line."""

    call: str
    number: int
    line: str


def points(lab: Lab, made: Scenario) -> list[Point]:
    """Every system call with which the scenario's run changes something, in their order."""
    log = Path(lab.work / "strace")
    lab.fresh(made.start_disk)
    lab.run("strace", "-y", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", "-o", str(log), *scenario.command(lab, made))
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


def inject(point: Point, action: str) -> list[str]:
    """The tracer that does `action` (`signal=KILL`, `error=EIO`) at that point."""
    return ["strace", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", f"inject={point.call}:{action}:when={point.number}"]


def spread(found: Sequence[Point], most: int) -> list[Point]:
    """At most `most` of the points: first those that are not one of many of a kind, then the rest evenly."""
    often = [point for point in found if point.call in _OFTEN]
    rare = _evenly([point for point in found if point.call not in _OFTEN], most * 3 // 4)
    return sorted((*rare, *_evenly(often, most - len(rare))), key=found.index)


def _evenly(found: Sequence[Point], most: int) -> list[Point]:
    most = min(most, len(found))
    return [found[index * len(found) // most] for index in range(most)]


def sweep(lab: Lab, made: Scenario, chosen: Sequence[Point]) -> Iterator[str]:
    """Kill a run at each of the points; for each, what was broken or an empty string."""
    for point in chosen:
        fault = _killed_at(lab, made, point)
        yield f"{made.name}: killed before {point.line[:120]}: {fault}" if fault else ""


def _killed_at(lab: Lab, made: Scenario, point: Point) -> str:
    lab.fresh(made.start_disk)
    done = lab.run(*inject(point, "signal=KILL"), *scenario.command(lab, made))
    if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f"it was not killed, but ended with {done.returncode}: {done.stderr[-200:]}"
    if not images.is_writable(lab.work / "boot"):
        return "the file system was left frozen"
    (lab.work / "boot/is-writable").unlink()
    at_once = made.fault(lab.view())
    lab.settle()
    later = made.fault(lab.view())
    if at_once or later:
        return f"{at_once or later} ({'at once' if at_once else 'when written back'})"
    return "" if made.plain else scenario.after(lab, made)
