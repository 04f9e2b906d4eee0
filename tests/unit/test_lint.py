# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters, as tests: one command is the gate."""

import subprocess
from pathlib import Path

import pytest

from tests.support import sources
from tests.support.checkout import CHECKOUT

TOOLS = CHECKOUT / ".venv/bin"
CODESPELL_IGNORED = "crate,fo,hda,ist,nknown,targts,te,ue"


def complaints(*command: str | Path) -> str:
    """What a linter says of the checkout; empty where it is content."""
    done = subprocess.run(
        command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=300
    )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "--no-cache", "."], id="ruff-check"),
        pytest.param(["ruff", "format", "--no-cache", "--check", "."], id="ruff-format"),
        pytest.param(["mypy"], id="mypy"),
    ],
)
def test_python(command: list[str]) -> None:
    assert complaints(TOOLS / command[0], *command[1:]) == ""


def test_shell_scripts() -> None:
    scripts = sources.shell_scripts()
    assert scripts, "no shell script was found"
    assert complaints(TOOLS / "shellcheck", "--external-sources", *scripts) == ""


def test_spelling() -> None:
    assert (
        complaints(
            TOOLS / "codespell", "--ignore-words-list", CODESPELL_IGNORED, *sources.tracked()
        )
        == ""
    )
