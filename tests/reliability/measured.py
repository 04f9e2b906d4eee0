"""The rows of docs/reliability.md as they were last measured: one file a row, with the commit
and the day it was measured at.
"""

import json
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.reliability.table import Row
from tests.support.checkout import CHECKOUT

DIRECTORY = CHECKOUT / "tests" / "reliability" / "measured"
_WHAT_IS_MEASURED = (
    "guest_hooks",
    "grub.d",
    "scripts",
    "systemd",
    "tests/reliability",
    "tests/support",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was measured: the commit (with `+` where files differed from it), the day, the
    kernel and grub-install's version.
    """

    commit: str
    date: str
    kernel: str
    grub: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A row and where its figures come from."""

    row: Row
    source: Source


def here_and_now() -> Source:
    """The checkout and the machine this runs on."""
    changed = _said(
        "git",
        "-C",
        str(CHECKOUT),
        "status",
        "--porcelain",
        "--",
        *_WHAT_IS_MEASURED,
        f":(exclude){DIRECTORY.relative_to(CHECKOUT)}",
    )
    return Source(
        commit=_said("git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD")
        + ("+" if changed else ""),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        kernel=platform.release(),
        grub=_said("grub-install", "--version"),
    )


def save(row: Row, source: Source, directory: Path = DIRECTORY) -> None:
    """Keep `row` in place of what was measured for its test before."""
    directory.mkdir(parents=True, exist_ok=True)
    data = {"row": asdict(row) | {"seconds": round(row.seconds)}, "source": asdict(source)}
    kept_at(row.test, directory).write_text(json.dumps(data, indent=1) + "\n")


def load(tests: Iterable[str], directory: Path = DIRECTORY) -> tuple[Measured, ...]:
    """What is known of `tests`, in their order; those that were never measured are left out."""
    there = (path for test in dict.fromkeys(tests) if (path := kept_at(test, directory)).exists())
    return tuple(map(_read, there))


def kept_at(test: str, directory: Path = DIRECTORY) -> Path:
    """Where the row of `test` is kept."""
    return directory / (re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-") + ".json")


def _read(path: Path) -> Measured:
    data = json.loads(path.read_text())
    row = data["row"]
    lists = {name: tuple(row[name]) for name in ("faults", "plain_faults")}
    return Measured(row=Row(**row | lists), source=Source(**data["source"]))


def _said(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()
