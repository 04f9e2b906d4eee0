# SPDX-License-Identifier: GPL-3.0-or-later
"""What a terminal is shown: colours that can be read, and a step that is under way."""

import io
import re

import pytest

from guest_hooks.report import (
    progress,
)
from guest_hooks.report.layout import COLOURS, Kind, Palette
from guest_hooks.report.styles import page_style, style_of
from tests.support.waiting import until


def luminance(red: int, green: int, blue: int) -> float:
    """The relative luminance of an sRGB colour (WCAG 2, 1.4.3)."""
    parts = [part / 255 for part in (red, green, blue)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: tuple[int, int, int], background: float) -> float:
    """How far a colour stands out (WCAG 2, 1.4.3); 3 is asked of large text, 21 is black on
    white.
    """
    low, high = sorted((luminance(*colour), background))
    return (high + 0.05) / (low + 0.05)


on_each_background = pytest.mark.parametrize("background", [0.0, 1.0], ids=["dark", "light"])


@on_each_background
@pytest.mark.parametrize("kind", [Kind.GOOD, Kind.BAD, Kind.LOOK])
def test_a_colour_is_readable(kind: Kind, background: float) -> None:
    number = int(COLOURS[Palette.RICH][kind].removeprefix("38;5;")) - 16
    steps = (0, 95, 135, 175, 215, 255)  # xterm's cube of 6 by 6 by 6 colours
    cube = (steps[number // 36], steps[number // 6 % 6], steps[number % 6])
    assert contrast(cube, background) > 3.8


EIGHT_COLOURS = {
    "console": {"1;31": (255, 85, 85), "35": (170, 0, 170), "32": (0, 170, 0)},
    "xterm": {"1;31": (255, 0, 0), "35": (205, 0, 205), "32": (0, 205, 0)},
    "putty": {"1;31": (255, 85, 85), "35": (187, 0, 187), "32": (0, 187, 0)},
}
"""What terminals show by default, with bold as bright, whose TERM does not promise more: Linux's
console, xterm and PuTTY with TERM=xterm.
"""


@on_each_background
@pytest.mark.parametrize("terminal_name", EIGHT_COLOURS)
def test_one_of_eight_colours_is_readable(terminal_name: str, background: float) -> None:
    used = {code for kind, code in COLOURS[Palette.BASIC].items() if kind is not Kind.NAME}
    shown = {code: EIGHT_COLOURS[terminal_name][code] for code in used}
    assert {code for code, colour in shown.items() if contrast(colour, background) < 3} == set()


class Screen(io.StringIO):
    """A stream that is a terminal, or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("environ", "when", "is_terminal", "expected"),
    [
        pytest.param({"TERM": "dumb"}, "auto", True, Palette.NONE, id="dumb"),
        pytest.param({"TERM": "vt220"}, "auto", True, Palette.BASIC, id="serial"),
        pytest.param({"TERM": "xterm-256color"}, "auto", True, Palette.RICH, id="xterm"),
        pytest.param({"TERM": "xterm-256color"}, "auto", False, Palette.NONE, id="pipe"),
        pytest.param({"TERM": "xterm-256color"}, "always", False, Palette.RICH, id="always"),
        pytest.param({}, "always", False, Palette.BASIC, id="always-without-a-terminal"),
        pytest.param({"TERM": "xterm"}, "never", True, Palette.NONE, id="never"),
        pytest.param({"TERM": "xterm", "NO_COLOR": ""}, "auto", True, Palette.NONE, id="no-color"),
    ],
)
def test_when_there_are_colours(
    environ: dict[str, str], when: str, is_terminal: bool, expected: Palette
) -> None:
    style = style_of(Screen(is_terminal=is_terminal), when=when, environ=environ)
    assert style.palette is expected
    assert style.width == (80 if is_terminal else 0)
    assert page_style(style, {}).width == 80
    assert (
        page_style(style_of(Screen(is_terminal=False), environ={}), {"COLUMNS": "99"}).width == 99
    )


@pytest.mark.parametrize(
    ("term", "words"),
    [
        pytest.param("dumb", "Looking …\n", id="dumb"),
        pytest.param("xterm", "\r\033[KLooking … 0.2 s\r\033[K", id="xterm"),
    ],
)
def test_a_step_is_shown_as_the_terminal_can(
    term: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 60)
    stream = Screen(is_terminal=True)
    with progress.shown("Looking", stream):
        until(lambda: stream.getvalue() != "")
    # A busy machine may take longer to begin to show it.
    assert re.sub(r"\d\.\d s", "0.2 s", stream.getvalue()) == words
