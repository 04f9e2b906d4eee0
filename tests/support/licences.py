# SPDX-License-Identifier: GPL-3.0-or-later
"""The licence line in each file that can carry a comment; as a program, add it where it lacks."""

from pathlib import Path

from tests.support import sources
from tests.support.checkout import CHECKOUT

LINE = "SPDX-License-Identifier: GPL-3.0-or-later"
COMMENTS = {".8": '.\\" {}', ".5": '.\\" {}', ".S": "/* {} */", ".c": "/* {} */"}
"""How a file of this kind begins a comment; all others by a hash."""
HASHED = (".py", ".sh", ".toml", ".cfg", ".service", ".timer", ".catalog", ".conf")
HASHED_NAMES = ("Makefile", "rules", "applies", "completion/xen-guest-bootloader")
DATA = ("tests/data", "tests/golden", "tests/reliability/measured")
"""What programs wrote and programs read; debian/copyright speaks of it."""


def bearers() -> list[Path]:
    """The project's files that have a line of their own; debian/copyright speaks of all others."""
    return [path for path in sources.tracked() if _is_bearer(path)]


def missing() -> list[Path]:
    """Those that lack it among their first three lines."""
    return [path for path in bearers() if LINE not in "".join(_lines(path)[:3])]


def add(path: Path) -> None:
    """Put the line at the top of a file, or below its `#!`."""
    lines = _lines(path)
    at = 1 if lines and lines[0].startswith("#!") else 0
    lines.insert(at, COMMENTS.get(path.suffix, "# {}").format(LINE) + "\n")
    path.write_text("".join(lines))


def _is_bearer(path: Path) -> bool:
    name = path.relative_to(CHECKOUT).as_posix()
    if name.startswith(DATA) or not path.stat().st_size:
        return False
    return (
        path.suffix in (*COMMENTS, *HASHED) or name.endswith(HASHED_NAMES) or _has_interpreter(path)
    )


def _has_interpreter(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


if __name__ == "__main__":
    for each in missing():
        add(each)
