# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers on hostile bytes, guided by coverage: nothing but the documented exception, time and
memory bounded by the input's size.

As a program, under the interpreter that has atheris: `fuzz.py PARSER DIRECTORY
LIBFUZZER-OPTION...`.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(CHECKOUT)]

MOST_BYTES = 200_000
BASE_SECONDS = 2.0
SECONDS_A_BYTE = 1e-4
"""A generous bound on the processor time of one input; what it excludes is work that grows
faster than the input.
"""
MOST_MEGABYTES = 1500

_TELLING = re.compile(r"\S*(Error|Exception|==\d+==|Traceback|artifact)|  File")

Attempt = Callable[[bytes], None]


def bounded(attempt: Attempt, data: bytes) -> None:
    """Run one attempt and fail where it took more time than the input's size allows."""
    start = time.process_time()
    attempt(data)
    spent = time.process_time() - start
    if spent > BASE_SECONDS + SECONDS_A_BYTE * len(data):
        raise AssertionError(f"{len(data)} bytes took {spent:.1f} s")


def guided(
    name: str, directory: Path, *, seconds: int = 0, runs: int = 0, seed: int
) -> Iterator[str]:
    """Fuzz one parser with atheris; an empty string for each input tried, and what was found.

    It ends after `seconds`, or, the same way each time, after `runs` inputs. What makes a parser
    fail stays in `directory`.
    """
    end = f"-runs={runs}" if runs else f"-max_total_time={seconds}"
    command = [
        str(CHECKOUT / ".venv/bin/python"),
        __file__,
        name,
        str(directory),
        f"-seed={seed}",
        end,
    ]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 300,
        check=False,
    )
    counts = re.findall(
        r"^(?:Done |stat::number_of_executed_units: |#)(\d+)", done.stderr, re.MULTILINE
    )
    tried = max((int(count) for count in counts), default=0)
    yield from ("" for _ in range(tried))
    if done.returncode != 0 or tried < runs or not tried:
        told = [line for line in (done.stdout + done.stderr).splitlines() if _TELLING.match(line)]
        yield (
            f"{name}, seed {seed}, exit {done.returncode}, {tried} inputs, see {directory}: "
            + "; ".join(told[-12:])
        )


def _main(name: str, directory: str, *given: str) -> None:
    import atheris  # noqa: PLC0415 - only this interpreter has it

    with atheris.instrument_imports(include=["guest_hooks", "elftools"]):
        # What is imported here is what guides the search.
        from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415
    parser = TARGETS[name]
    corpus = Path(directory) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(parser.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed[:MOST_BYTES])
    options = [*given, f"-max_len={MOST_BYTES}", "-timeout=60", f"-rss_limit_mb={MOST_MEGABYTES}"]
    options += [f"-artifact_prefix={directory}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: bounded(parser.attempt, data))
    atheris.Fuzz()


if __name__ == "__main__":
    _main(*sys.argv[1:])
