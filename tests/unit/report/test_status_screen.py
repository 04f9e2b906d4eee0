# SPDX-License-Identifier: GPL-3.0-or-later
"""The one screen of `status`, word for word: the verdict first, few lines, no line too long.

`UPDATE_GOLDEN=1` writes the files of tests/golden/screens, for the eyes of a reviewer.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from guest_hooks import terminal
from guest_hooks.config import MAIN_FILE, Config, Source, parse
from guest_hooks.errors import (
    NotApplicableError,
    UsageError,
)
from guest_hooks.model import Guest, Mode
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.report import (
    boot_chain,
    messages,
    moments,
)
from guest_hooks.report.guest_text import guest_text
from guest_hooks.report.layout import COLOURS, Kind, Palette, Style
from guest_hooks.report.status_screen import status_screen
from guest_hooks.survey import plan
from tests.support.checkout import CHECKOUT
from tests.support.scenes import BOOTS, SCENES

GOLDEN = CHECKOUT / "tests/golden/screens"
STYLES = {
    "80": Style(width=80),
    "120": Style(width=120),
    "verbose": Style(width=80, verbose=True),
    "basic": Style(width=80, palette=Palette.BASIC),
    "rich": Style(width=80, palette=Palette.RICH),
}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def refused(style: Style) -> Iterator[tuple[str, list[str]]]:
    """The two guests that have no screen, and what is shown in its place."""
    hvm = Guest(mode=Mode.HVM, bits=64, evidence=("/sys/hypervisor/guest_type: HVM",))
    with pytest.raises(NotApplicableError) as nothing_to_do:
        plan.wanted(hvm, Config(), (), ())
    yield "HVM", [*guest_text(hvm, style), *messages.error_text(nothing_to_do.value, style)]
    with pytest.raises(UsageError) as slip:
        parse([Source(name=MAIN_FILE, data=b"targts = []")])
    yield "wrong configuration", messages.error_text(slip.value, style)


@pytest.mark.parametrize("name", STYLES)
def test_the_screens(name: str) -> None:
    style = STYLES[name]
    screens = [(situation, status_screen(each.scene, style)) for situation, each in SCENES.items()]
    text = "".join(
        f"$ status   # {situation}\n" + "".join(f"{terminal.shown(line)}\n" for line in lines)
        for situation, lines in (*screens, *refused(style))
    )
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("situation", SCENES)
def test_the_verdict_comes_first(situation: str) -> None:
    expected = SCENES[situation]
    lines = expected.screen(Style(width=80))
    assert (
        " ".join(lines).replace("              ", "").startswith(f"Next boot    {expected.first}")
    )
    assert max(map(len, lines)) <= 80
    if expected.code == 0:
        assert len(lines) <= 8


@pytest.mark.parametrize("situation", SCENES)
def test_no_good_word_where_something_is_wrong(situation: str) -> None:
    each = SCENES[situation]
    first = each.screen(STYLES["rich"])[0]
    good = f"\033[{COLOURS[Palette.RICH][Kind.GOOD]}m"
    assert (good in first) == (each.code == 0 and not each.first.startswith("not known"))


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (-120, "14:40 (2 min ago)"),
        (-30, "14:41 (30 s ago)"),
        (3 * 3600, "17:42 (in 3 h)"),
        (-86400 * 5, "2026-11-20 14:42 (5 days ago)"),
        (86400 * 1.5, "2026-11-27 02:42 (in 36 h)"),
        (2 * 3600 - 0.5, "16:41 (in 2 h)"),
        (5400, "16:12 (in 90 min)"),
    ],
)
def test_times(away: float, words: str) -> None:
    now = SCENES["well"].scene.now
    assert moments.moment(now + away, now) == words


def test_a_step_is_named_once_and_no_other_file() -> None:
    first, second = (
        Finding(
            code=SecondStageProblem.MISSING,
            link=Link.SECOND_STAGE,
            thing="/boot/xen/pvhboot-i386.elf",
            message=f"/boot/xen/{name} is missing",
            console="",
            hint="make it with: xen-guest-bootloader sync",
        )
        for name in ("pvhboot-i386.elf", "pvhboot-i386.linux")
    )
    answer = replace(BOOTS, findings=(first, second))
    lines = boot_chain.preflight_text(answer, Style(width=80))
    assert len([line for line in lines if line.endswith(first.hint)]) == 1
    assert "               why      /boot/xen/pvhboot-i386.linux is missing" in lines
    assert [line for line in lines if line.strip().startswith("file ")] == []
