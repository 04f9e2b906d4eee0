# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors and warnings as stderr shows them: a sentence, and the next step below it."""

from collections.abc import Iterable

from guest_hooks.errors import GuestHooksError
from guest_hooks.model import Problem
from guest_hooks.report import layout
from guest_hooks.report.layout import Kind, Style, Text, plain

NAME = "xen-guest-bootloader: "
STEP = "  -> "


def error_text(error: GuestHooksError, style: Style) -> list[str]:
    """An error and its next step."""
    return _message("error:", Kind.BAD, error.message, error.hint, style)


def warnings_text(problems: Iterable[Problem], style: Style) -> list[str]:
    """What a run that may have ended well warns of, each with its next step."""
    rows = [(problem.message, problem.hint) for problem in problems]
    return [line for row in rows for line in _message("warning:", Kind.LOOK, *row, style)]


def _message(mark: str, kind: Kind, message: str, hint: str, style: Style) -> list[str]:
    text: Text = ((NAME, Kind.PLAIN), (mark, kind), (f" {message}", Kind.PLAIN))
    lines = layout.block(text, style, first=(), indent=0, hang=len(STEP))
    if hint:
        lines += layout.step(hint, style, first=plain(STEP), indent=len(STEP))
    return lines
