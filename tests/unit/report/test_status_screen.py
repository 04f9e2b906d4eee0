# SPDX-License-Identifier: GPL-3.0-or-later
"""The one screen of `status`, word for word: the verdict first, few lines, no line too long.

`UPDATE_GOLDEN=1` writes the files of tests/golden/screens, for the eyes of a reviewer.
"""

import io
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks import terminal
from guest_hooks.config import MAIN_FILE, Config, Source, parse
from guest_hooks.errors import (
    ExitCode,
    LackingError,
    NotApplicableError,
    NotRepairedError,
    UsageError,
)
from guest_hooks.machine import journal, last_failure
from guest_hooks.machine.root import Root
from guest_hooks.model import Guest, Mode
from guest_hooks.origin import By, Doer
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.report import (
    as_journal,
    as_metrics,
    boot_chain,
    layout,
    messages,
    moments,
    progress,
)
from guest_hooks.report.guest_text import guest_text
from guest_hooks.report.layout import COLOURS, Kind, Palette, Style
from guest_hooks.report.status_screen import status_screen
from guest_hooks.report.styles import page_style, style_of
from guest_hooks.sizes import size
from guest_hooks.survey import plan
from guest_hooks.survey.outlook import Outlook
from guest_hooks.sync.result import Result
from tests.support.checkout import CHECKOUT
from tests.support.command_line import Run
from tests.support.scenes import BOOTS, SCENES, Situation
from tests.support.waiting import until

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


def screen(situation: Situation, style: Style) -> list[str]:
    return [terminal.shown(line) for line in status_screen(situation.scene, style)]


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
    lines = screen(expected, Style(width=80))
    assert (
        " ".join(lines).replace("              ", "").startswith(f"Next boot    {expected.first}")
    )
    assert max(map(len, lines)) <= 80
    if expected.code == 0:
        assert len(lines) <= 8


@pytest.mark.parametrize("situation", SCENES)
def test_no_good_word_where_something_is_wrong(situation: str) -> None:
    each = SCENES[situation]
    first = screen(each, STYLES["rich"])[0]
    good = f"\033[{COLOURS[Palette.RICH][Kind.GOOD]}m"
    assert (good in first) == (each.code == 0 and not each.first.startswith("not known"))


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


@pytest.mark.parametrize(
    ("hint", "lines"),
    [
        pytest.param(
            "bring it up to date with: xen-guest-bootloader sync",
            ["  do      bring it up to date with:", "          xen-guest-bootloader sync"],
            id="on-the-next-line",
        ),
        pytest.param(
            "make it: xen-guest-bootloader sync --root /mnt --target x86_64-xen",
            ["  do      make it:", "  xen-guest-bootloader sync --root /mnt --target x86_64-xen"],
            id="on-a-line-of-its-own",
        ),
        pytest.param(
            "copy it: xen-guest-bootloader sync; or have the host start it as PVH",
            [
                "  do      copy it: xen-guest-bootloader sync; or",
                "          have the host start it as PVH",
            ],
            id="with-another-way",
        ),
        pytest.param(
            "make it: update-initramfs -c -k 6.1.0-57-cloud-amd64; or boot another",
            [
                "  do      make it:",
                "  update-initramfs -c -k 6.1.0-57-cloud-amd64",
                "          or boot another",
            ],
            id="another-way-below",
        ),
        pytest.param(
            "remove it: rm /boot/xen/pvhboot-i386.elf /boot/xen/pvhboot-i386.linux; or keep it",
            [
                "  do      remove it:",
                "  rm /boot/xen/pvhboot-i386.elf /boot/xen/pvhboot-i386.linux",
                "          or keep it",
            ],
            id="the-first-way",
        ),
        pytest.param(
            "apt install --reinstall linux-image-6.1.0-57-amd64",
            ["  do", "  apt install --reinstall linux-image-6.1.0-57-amd64"],
            id="a-command-alone",
        ),
        pytest.param(
            "inside the guest: boot a kernel of 64 bits, or of 32 bits",
            ["  do      inside the guest: boot a kernel of 64", "          bits, or of 32 bits"],
            id="words-behind-a-colon",
        ),
        pytest.param(
            "mount its file system for writing, and try it again",
            ["  do      mount its file system for writing, and", "          try it again"],
            id="a-word-that-is-a-program-s-name-too",
        ),
        pytest.param(
            "keys are: targets, modules, extra_modules, pvh_names",
            ["  do      keys are: targets, modules,", "          extra_modules, pvh_names"],
            id="a-list",
        ),
    ],
)
def test_a_command_is_not_broken(hint: str, lines: list[str]) -> None:
    assert layout.step(hint, Style(width=50), first=layout.plain("  do      "), indent=10) == lines


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (2936012, "2.8 MiB"),
        (64 << 20, "64.0 MiB"),
        (400 << 20, "400 MiB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


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


@pytest.mark.parametrize("situation", SCENES)
def test_every_reader_has_the_same_verdict(situation: str) -> None:
    expected = SCENES[situation]
    scene = expected.scene
    outlook = Outlook(status=scene.status, next_boot=scene.next_boot)
    first = screen(expected, Style(width=80))[0].removeprefix("Next boot").strip()
    table = boot_chain.outlook_json(outlook, scene.service)
    metrics = as_metrics.text(outlook, scene.service).splitlines()
    ok = expected.code == ExitCode.OK
    assert outlook.exit_code == expected.code
    assert table["ok"] is ok
    assert f"xen_guest_bootloader_ok {int(ok)}" in metrics
    if scene.next_boot is None:
        assert first.startswith("not known")
        assert table["next_boot"] is None
        assert "xen_guest_bootloader_next_boot_ok" not in " ".join(metrics)
        return
    assert first.startswith("WILL NOT BOOT") is not table["next_boot"]["will_boot"]
    if first.startswith("not known"):
        assert table["next_boot"]["will_boot"] is None
        assert "xen_guest_bootloader_next_boot_ok" not in " ".join(metrics)
        return
    assert f"xen_guest_bootloader_next_boot_ok {int(table['next_boot']['ok'])}" in metrics
    alarm = boot_chain.alarm_text(scene.next_boot, Style())
    assert bool(alarm) is first.startswith("WILL NOT BOOT")


def test_the_journal_has_the_words_of_the_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    (tmp_path / "socket").touch()
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "socket"))
    monkeypatch.setattr(journal, "send", lambda _outcome, message, **_fields: told.append(message))
    no_room = LackingError("/boot/xen needs 2.8 MiB, and 2.5 MiB are free")
    as_journal.tell_failure(no_room, By(doer=Doer.SERVICE))
    last_failure.note(Root(str(tmp_path)), no_room)
    left = last_failure.read(Root(str(tmp_path)), no_room.exit_code)
    assert left is not None
    scene = SCENES["failing repair"].scene
    assert scene.service is not None
    shown = replace(scene, service=replace(scene.service, repair=left.message))
    assert f"failing: {told[0]}; next try" in " ".join(
        " ".join(status_screen(shown, Style(width=80))).split()
    )
    foreign = SCENES["foreign"].scene.status
    problem = foreign.targets[0].problems[0]
    failure = NotRepairedError(problem.message, hint=problem.hint)
    result = Result(before=foreign, status=foreign, failures=(failure,))
    as_journal.tell(result, By(doer=Doer.SERVICE))
    assert told[1] in " ".join(" ".join(screen(SCENES["foreign"], Style(width=80))).split())


def test_an_hvm_guest_has_one_verdict(tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text("HVM\n")
    done = Run("status", "--root", str(tree), "--json")
    assert (done.code, done.json["ok"], done.json["error"]["exit_code"]) == (5, False, 5)
    assert "this is an HVM guest" in done.stderr
    assert Run("status", "--root", str(tree), "--metrics").code == ExitCode.NOT_APPLICABLE


def test_a_wrong_configuration_has_one_verdict(tree: Path) -> None:
    (tree / "etc/xen-guest-bootloader/config.toml").write_text("targts = []\n")
    for form in ((), ("--json",), ("--metrics",)):
        done = Run("status", "--root", str(tree), *form)
        assert done.code == ExitCode.USAGE
        assert "config.toml: unknown key 'targts'" in done.stderr
        assert "did you mean targets?" in done.stderr
