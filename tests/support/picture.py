# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the program's packages and modules in HACKING.md, made from the tree."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.support.checkout import CHECKOUT

PAGE = CHECKOUT / "HACKING.md"
TOP = CHECKOUT / "guest_hooks"
_BEGIN, _END = "<!-- Made by `make pages` from here -->", "<!-- to here -->"
PACKAGES = {
    "cli": "entry point for people; its __init__ answers a sync with nothing to do",
    "cli/verbs": "a verb a module: which use case it calls, its exit code",
    "hooks": "entry point for packages: kernels, grub-install, triggers, first boot",
    "daemon": "entry point for time: the repair service",
    "report": "results to words, JSON, metrics, journal entries",
    "sync": 'use case "make it so": build, verify, install, remember',
    "host": "use case of a host's admin",
    "survey": 'use case "how is it": what should be there, what is, the verdict',
    "preflight": 'use case "will the next boot work"',
    "preflight/links": "one link of the boot a module; pure",
    "machine": "this machine: facts and effects, one noun a module",
    "formats": "bytes to facts; pure: no file is opened here",
    "problems": "the one table of problem codes, a group a module",
    "": "vocabulary: frozen dataclasses, enums, the table of targets",
}
"""Each package and what it is, from the entry points down; "" is guest_hooks itself."""
_INDENT = 8 * " "


def written() -> dict[Path, str]:
    """The page and the text that it has to have."""
    head, _, rest = PAGE.read_text().partition(f"{_BEGIN}\n")
    _, _, tail = rest.partition(f"{_END}\n")
    return {PAGE: "".join((f"{head}{_BEGIN}\n\n", *_lines(), f"\n{_END}\n", tail))}


def _lines() -> Iterator[str]:
    yield "    guest_hooks/\n"
    for package, purpose in PACKAGES.items():
        name = f"{package}/" if package else ""
        yield f"      {name:<18}{purpose}\n" if name else f"      {purpose}\n"
        names = sorted(path.stem for path in (TOP / package).glob("*.py"))
        listed = "  ".join(each for each in names if each != "__init__")
        wrapped = textwrap.wrap(listed, 98, initial_indent=_INDENT, subsequent_indent=_INDENT)
        yield from (f"{line}\n" for line in wrapped)
