# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stream is written to: as wide as its terminal is, in the colours that it can show."""

import os
from collections.abc import Mapping
from typing import TextIO

from guest_hooks.report.layout import Palette, Style, palette

USUAL_WIDTH = 80


def style_of(
    stream: TextIO,
    *,
    when: str = "auto",
    verbose: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Style:
    """The style for `stream`; `when` is a value of `--color`. A log is not wrapped."""
    shows = palette(environ.get("TERM", ""), environ.get("COLORTERM", ""))
    match when:
        case "never":
            shows = Palette.NONE
        case "always":
            shows = Palette.BASIC if shows is Palette.NONE else shows
        case _ if not stream.isatty() or "NO_COLOR" in environ:
            shows = Palette.NONE
    return Style(palette=shows, width=_columns(stream, environ), verbose=verbose)


def page_style(style: Style, environ: Mapping[str, str] = os.environ) -> Style:
    """`style` for what people read as a page, such as `status`: wrapped in a pipe, too."""
    if style.width:
        return style
    columns = environ.get("COLUMNS", "")
    width = (
        int(columns) if columns.isascii() and columns.isdigit() and int(columns) else USUAL_WIDTH
    )
    return Style(palette=style.palette, width=width, verbose=style.verbose)


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    """The width of the terminal behind `stream`; 0 where there is none, or it does not know it."""
    if not stream.isatty():
        return 0
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except (OSError, ValueError):  # no descriptor, as in a test
        return USUAL_WIDTH
