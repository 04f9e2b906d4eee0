# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong, as lines below a row: why, what the console shows, what to do; each message and
each next step once.
"""

from collections.abc import Iterable, Iterator

from guest_hooks.model import Problem, Severity
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.report import layout
from guest_hooks.report.layout import Kind, Style, Text

INDENT = 15
NAME_WIDTH = 9
_CERTAINTY = {
    Certainty.CERTAIN: "",
    Certainty.LIKELY: " (likely)",
    Certainty.UNKNOWN: " (not known)",
}
_THINGS = {
    Link.STAGE1: "disk",
    Link.SECOND_STAGE: "file",
    Link.GRUB_CFG: "file",
    Link.ENTRY: "entry",
    Link.KERNEL: "kernel",
    Link.INITRD: "initrd",
    Link.ROOT: "root",
}


def below(name: str, text: Text, style: Style, *, indent: int = INDENT) -> list[str]:
    """One line below a row: `text` behind its `name`."""
    return layout.block(text, style, first=_lead(name, indent), indent=indent + NAME_WIDTH)


def _lead(name: str, indent: int) -> Text:
    return layout.plain(" " * indent + name.ljust(NAME_WIDTH))


def step(hint: str, style: Style, *, indent: int = INDENT) -> list[str]:
    """A next step; the command that it ends with can be pasted."""
    return layout.step(hint, style, first=_lead("do", indent), indent=indent + NAME_WIDTH)


def problems(
    found: Iterable[Problem], style: Style, shown: set[str], *, indent: int = INDENT
) -> Iterator[str]:
    """Each of `found` whose message is not among `shown`, with its next step, unless that is;
    `shown` grows.
    """
    new = []
    for problem in found:
        if problem.message not in shown:
            new.append(problem)
            shown.add(problem.message)
    for number, problem in enumerate(new):
        name, kind = (
            ("note", Kind.PLAIN) if problem.severity is Severity.WARNING else ("why", Kind.LOOK)
        )
        code = f" [{problem.code}]" if style.verbose else ""
        yield from below(name, ((problem.message, kind), (code, Kind.PLAIN)), style, indent=indent)
        later = {each.hint for each in new[number + 1 :]}
        if problem.hint and problem.hint not in shown | later:
            shown.add(problem.hint)
            yield from step(problem.hint, style, indent=indent)


def finding(
    found: Finding,
    style: Style,
    *,
    with_message: bool = True,
    indent: int = INDENT,
    steps: set[str] | None = None,
) -> Iterator[str]:
    """One finding: its message, the thing where the message names none, the console's words, the
    next step where it is not among `steps`, which grows.
    """
    steps = set() if steps is None else steps
    if with_message:
        name, kind = (
            ("note", Kind.PLAIN)
            if found.severity is Severity.WARNING
            else ("why", Kind.BAD if found.stops else Kind.LOOK)
        )
        yield from below(
            name, ((f"{message(found)}{_code(found, style)}", kind),), style, indent=indent
        )
    if found.thing and found.thing not in found.message and not found.message.startswith("/"):
        yield from below(
            _THINGS[found.link], layout.plain(layout.unbroken(found.thing)), style, indent=indent
        )
    if found.console:
        yield from below("console", layout.plain(found.console), style, indent=indent)
    elif found.stops:
        yield from below("console", layout.plain("shows nothing more"), style, indent=indent)
    if found.hint and found.hint not in steps:
        steps.add(found.hint)
        yield from step(found.hint, style, indent=indent)


def message(found: Finding) -> str:
    """What is wrong, and how sure that is."""
    return f"{found.message}{_CERTAINTY[found.certainty]}"


def _code(found: Finding, style: Style) -> str:
    return f" [{found.name}]" if style.verbose else ""
