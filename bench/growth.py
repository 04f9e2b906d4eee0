# SPDX-License-Identifier: GPL-3.0-or-later
"""How the cost grows with what a guest has: kernels, disks, files in /boot."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.guest import PROGRAM, measured, own_by_dpkg
from bench.limits import Measured
from bench.measure import Command
from bench.preflight import REMEMBERED
from tests.support import images, loops
from tests.support.chroot_guest import ChrootGuest

RUNS = 5
KERNELS = (1, 10, 100)
DISKS = (1, 10, 30)
FILES = (100, 1_000, 10_000)
PREFLIGHT = [PROGRAM, "preflight"]
COMMANDS = {
    "`sync` with nothing to do": Command(words=[PROGRAM, "sync"]),
    "`status`": Command(words=[PROGRAM, "status"]),
    "`preflight` for the first time": Command(
        words=PREFLIGHT, before=f"rm -f {' '.join(REMEMBERED)}"
    ),
    "`preflight` again": Command(words=PREFLIGHT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one command took, in milliseconds, with so many of one thing."""

    thing: str
    command: str
    counts: Sequence[int]
    milliseconds: Sequence[float]

    @property
    def slope(self) -> float:
        """The power of the last count that the time grows with: 1 is linear."""
        times = math.log(self.milliseconds[-1] / self.milliseconds[-2])
        return times / math.log(self.counts[-1] / self.counts[-2])


def series(guest: ChrootGuest) -> tuple[Series, ...]:
    """Every command with more and more of each thing, in a guest with one kernel."""
    (image,) = guest.path("/boot").glob("vmlinuz-*")
    first = image.name.removeprefix("vmlinuz-")
    with ExitStack() as stack:
        return (
            *_grown(guest, "files in /boot", FILES, lambda count: _files(guest, count)),
            *_grown(guest, "disks more", DISKS, lambda count: _disks(guest, count, stack)),
            *_grown(guest, "kernels", KERNELS, lambda count: _kernels(guest, first, count)),
        )


def figures(found: Sequence[Series]) -> dict[str, Measured]:
    """The steepest of them."""
    worst = max(found, key=lambda each: each.slope)
    return {"growth": Measured(value=worst.slope, detail=f"{worst.command}, {worst.thing}")}


def table(found: Sequence[Series]) -> str:
    """One row for each command and thing."""
    lines = ["| what | with | ms | slope at the end |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each.command} | {', '.join(map(str, each.counts))} {each.thing} |"
        f" {', '.join(f'{value:.0f}' for value in each.milliseconds)} | {each.slope:.2f} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"


def _grown(
    guest: ChrootGuest, thing: str, counts: Sequence[int], make: Callable[[int], object]
) -> Iterator[Series]:
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for count in counts:
        make(count)
        guest.run(PROGRAM, "sync")
        for name, figure in measured(guest, COMMANDS, runs=RUNS).items():
            took[name].append(figure.milliseconds)
    for name, values in took.items():
        yield Series(thing=thing, command=name, counts=counts, milliseconds=values)


def _files(guest: ChrootGuest, count: int) -> None:
    for number in range(count):
        guest.path(f"/boot/file-{number}").touch()


def _disks(guest: ChrootGuest, count: int, stack: ExitStack) -> None:
    directory = guest.work / "disks"
    directory.mkdir(exist_ok=True)
    for number in range(len([*directory.iterdir()]), count):
        image = directory / f"{number}.img"
        with image.open("wb") as file:
            file.truncate(16 * images.MIB)
        images.tool("mkfs.ext4", "-q", str(image))
        stack.enter_context(loops.attached(image))


def _kernels(guest: ChrootGuest, first: str, count: int) -> None:
    """Other names of Debian's kernel, initrd and configuration: they are read under each."""
    boot = guest.path("/boot")
    for number in range(1, count):
        for name in ("vmlinuz", "initrd.img", "config"):
            other = boot / f"{name}-{first}.{number}"
            if not other.exists():
                os.link(boot / f"{name}-{first}", other)
    own_by_dpkg(guest.directory)
