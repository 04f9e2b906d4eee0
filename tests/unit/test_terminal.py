# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees: colour and steps on a terminal, and neither in a pipe."""

import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from guest_hooks.cli import arguments
from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode
from guest_hooks.machine.root import Root
from guest_hooks.report import progress
from guest_hooks.report.layout import Style
from tests.support import command_line
from tests.support.command_line import Run
from tests.support.outside_guest import PYTHON, environment


def on_terminal(*words: str, env: dict[str, str] | None = None) -> str:
    return command_line.on_terminal(
        [PYTHON, "-m", "guest_hooks", *words], env=environment() | (env or {})
    )[1]


def test_colour_is_for_terminals(tree: Path) -> None:
    words = ["detect", "--root", str(tree)]
    assert "\033[" in on_terminal(*words)
    assert "\033[" not in on_terminal(*words, env={"NO_COLOR": "1"})
    assert "\033[" not in on_terminal(*words, "--color=never")
    assert "\033[" not in Run(*words).stdout
    assert "\033[" in Run(*words, "--color=always").stdout


def test_an_error_in_a_pipe_has_no_colour(tree: Path) -> None:
    words = ["status", "--root", str(tree)]
    assert "\033[" in on_terminal(*words)
    assert "\033[" not in on_terminal(*words, "--color=never")
    assert "\033[" not in Run(*words).stderr


def test_a_closed_pipe_is_no_fault(tree: Path) -> None:
    done = subprocess.run(
        [
            "/bin/bash",
            "-c",
            f"{PYTHON} -m guest_hooks detect --root {tree} | true; exit ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert (done.returncode in (0, 5), done.stderr) == (True, "")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param((), ["Waiting"], id="for-a-person"),
        pytest.param(("--json",), [], id="one-terminal-gets-the-object-too"),
        pytest.param(("--quiet",), [], id="quiet"),
    ],
)
def test_steps_are_shown_to_a_person_alone(
    words: tuple[str, ...], shown: list[str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def note(what: str, _stream: object) -> AbstractContextManager[None]:
        steps.append(what)
        return nullcontext()

    monkeypatch.setattr(progress, "shown", note)
    options = arguments.parse(["status", *words])
    with Session(options=options, root=Root(str(tree)), style=Style(), error_style=Style()).step(
        "Waiting"
    ):
        pass
    assert steps == shown


@pytest.mark.parametrize("words", ["detect", "detect --json"])
def test_no_room_for_what_is_said_is_no_fault(tree: Path, words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PYTHON, "-m", "guest_hooks", "--root", str(tree), *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == ExitCode.LACKING
    assert done.stderr.startswith(
        "xen-guest-bootloader: error: standard output could not be written: No space left on"
        " device\n"
    )
