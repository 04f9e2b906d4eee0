# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are made to cost much, beside real ones of the same kind and size.

As a program it parses each file, in a process of its own, and prints what that cost: one JSON
object a line with `name`, `kind`, `size`, `seconds` of processor time and `kilobytes` of memory for
the hostile file and, as `real_…`, for the real one.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(CHECKOUT)]

from tests.support import (  # noqa: E402 - found by the line above
    hostile_images,
    hostile_menus,
    hostile_second_stages,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A file as `kind` (a name of `fuzz_targets.TARGETS`) reads it, and how a real one of its
    size is made.
    """

    name: str
    kind: str
    data: Callable[[], bytes]
    real: Callable[[int], bytes]


def _encoded(text: Callable[[], str]) -> bytes:
    return text().encode()


def everything() -> Iterator[Hostile]:
    """Every hostile file."""
    for name, text in hostile_menus.MENUS.items():
        menu = partial(_encoded, text)
        yield Hostile(name=f"menu, {name}", kind="menu", data=menu, real=hostile_menus.real)
    for name, data in hostile_second_stages.FILES.items():
        yield Hostile(
            name=f"second stage, {name}", kind="elf", data=data, real=hostile_second_stages.real
        )
    for name, data in hostile_images.KERNELS.items():
        yield Hostile(
            name=f"kernel, {name}",
            kind="kernel",
            data=data,
            real=hostile_images.real_kernel(name.partition(" ")[0]),
        )
    for name, data in hostile_images.INITRDS.items():
        yield Hostile(
            name=f"initrd, {name}",
            kind="initrd",
            data=data,
            real=hostile_images.real_initrd(name.partition(" ")[0]),
        )


def _cost(attempt: Callable[[bytes], None], data: bytes) -> tuple[float, int]:
    """Seconds of processor time and kilobytes of memory that one attempt takes, in a process of
    its own.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        attempt(data)
        spent, after = (
            time.process_time() - start,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        )
        os.write(write_end, json.dumps([spent, after - before]).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        raise AssertionError(f"the attempt ended with status {status}")
    seconds, kilobytes = json.loads(answer)
    return float(seconds), int(kilobytes)


def _main(wanted: list[str]) -> None:
    from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415 - imports all parsers

    for each in everything():
        if wanted and not any(word in each.name for word in wanted):
            continue
        attempt = TARGETS[each.kind].attempt
        data = each.data()
        real = each.real(len(data))
        attempt(TARGETS[each.kind].seeds()[0])  # what a parser imports is no cost of a file
        cost, of_real = _cost(attempt, data), min(_cost(attempt, real) for _ in range(2))
        if cost[0] > 2 * of_real[0]:  # it may be that other processes slowed it
            cost = min(cost, _cost(attempt, data))
        row = {"name": each.name, "kind": each.kind, "size": len(data)}
        row["seconds"], row["kilobytes"] = cost
        row["real_seconds"], row["real_kilobytes"] = of_real
        print(json.dumps(row), flush=True)  # noqa: T201 - a program's answer


if __name__ == "__main__":
    _main(sys.argv[1:])
