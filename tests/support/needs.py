# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Debian packages a make target needs: the lists in tests/needs, and what debian/control
says already.

A line of a list is a package, or a field of debian/control whose packages belong to the list:
`@Depends`, `@Build-Depends`. As a program, with python3 and nothing else installed: `needs
GROUP...` prints what the machine lacks.
"""

import re
import subprocess
import sys
from collections.abc import Iterable

from tests.support.checkout import CHECKOUT

LISTS = CHECKOUT / "tests/needs"
CONTROL = CHECKOUT / "debian/control"


def listed(*groups: str) -> tuple[str, ...]:
    """The packages that these lists of tests/needs ask for, sorted."""
    lines = [
        line.partition("#")[0].strip()
        for group in groups
        for line in (LISTS / group).read_text().splitlines()
    ]
    found = {
        name
        for line in lines
        if line
        for name in (control(line[1:]) if line.startswith("@") else (line,))
    }
    return tuple(sorted(found))


def control(field: str, text: str | None = None, *, with_tests: bool = False) -> tuple[str, ...]:
    """The packages that a field of debian/control names, in its order, of alternatives the
    first; no substitution variables. What only the tests of a build need is there `with_tests`.
    """
    text = CONTROL.read_text() if text is None else text
    # deb822(5): a field goes on in the lines that begin with a blank; a line of "#" is a comment
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    values = re.findall(
        rf"^{re.escape(field)}:((?:.*\n(?:[ \t].*\n)*))", text, flags=re.MULTILINE | re.IGNORECASE
    )
    if not values:
        raise SystemExit(f"debian/control has no field {field}")
    clauses = (
        clause.partition("|")[0].strip()
        for value in values
        for clause in value.split(",")
        # `make deb` builds without its tests.
        if with_tests or "<!nocheck>" not in clause
    )
    return tuple(
        re.split(r"[\s(\[<:]", clause)[0]
        for clause in clauses
        if clause and not clause.startswith("$")
    )


def installed() -> set[str]:
    """Every package of this machine, and every name that one of them provides."""
    form = "${db:Status-Status} ${Package}, ${Provides}\n"
    done = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], check=True, capture_output=True, text=True
    )
    rows = (line.partition(" ") for line in done.stdout.splitlines())
    return {
        name.split()[0]
        for status, _, names in rows
        if status == "installed"
        for name in names.split(",")
        if name.strip()
    }


def missing(groups: Iterable[str]) -> list[str]:
    """What these lists ask for that is not installed."""
    there = installed()
    return [name for name in listed(*groups) if name not in there]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in missing(sys.argv[1:]))
