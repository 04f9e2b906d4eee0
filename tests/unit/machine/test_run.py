# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program that is started finds around it."""

import time
from pathlib import Path

import pytest

from guest_hooks.machine.run import GRACE, MAX_OUTPUT, PATH, CommandError, environment, run


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("/usr/bin:/bin", id="cron-s"),
        pytest.param("{mine}:/usr/sbin:/usr/bin", id="mine-first"),
        pytest.param(":/usr/bin::", id="working-directory"),
    ],
)
def test_debian_s_programs_are_found_whatever_the_caller_s_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None
) -> None:
    (tmp_path / "sh").write_text("#!/bin/sh\necho another\n")
    (tmp_path / "sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    if given is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", given.format(mine=tmp_path))
    assert environment()["PATH"] == PATH
    assert run(["sh", "-c", 'echo "$PATH"']).text == PATH
    assert run(["sh", "-c", "command -v grub-mkconfig"]).text == "/usr/sbin/grub-mkconfig"


@pytest.mark.parametrize(
    "name", ["BASH_ENV", "ENV", "PYTHONPATH", "BASH_FUNC_grub_probe%%", "LD_PRELOAD", "GRUB_PREFIX"]
)
def test_nothing_else_of_the_caller_s_reaches_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "() { echo another; }")
    assert name not in environment()


@pytest.mark.parametrize("where", ["", ">&2"], ids=["stdout", "stderr"])
def test_endless_words_end_the_program(where: str) -> None:
    with pytest.raises(CommandError, match=f"yes was ended: it said more than {MAX_OUTPUT} bytes"):
        run(["sh", "-c", f"exec yes {where}"], name="yes")


@pytest.mark.parametrize("how", ["sleep 97", "setsid sleep 97"])
def test_what_a_program_leaves_behind_keeps_nobody_waiting(how: str) -> None:
    began = time.monotonic()
    assert run(["sh", "-c", f"{how} & echo done"], timeout=90).text == "done"
    assert time.monotonic() - began < GRACE + 30


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 97", id="silent"),
        pytest.param("exec >&- 2>&-; sleep 97", id="closes-its-pipes"),
        pytest.param("while sleep 0.01; do echo; done", id="talks-on"),
    ],
)
def test_a_program_that_does_not_end_is_ended(script: str) -> None:
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"it did not end within 0\.5 s"):
        run(["sh", "-c", script], name="it", timeout=0.5)
    assert time.monotonic() - began < 30


def test_more_than_a_pipe_holds_goes_in_and_comes_out() -> None:
    data = bytes(range(256)) * 16384
    assert run(["cat"], stdin=data).stdout == data
    assert run(["true"], stdin=data).stdout == b""


def test_a_program_that_a_signal_ends_has_the_exit_code_that_a_shell_gives_it() -> None:
    """The wrapper around grub-install ends with it, and no shell can end with a negative one."""
    with pytest.raises(CommandError, match="it failed with exit code 153") as ended:
        run(["sh", "-c", "kill -XFSZ $$"], name="it")
    assert ended.value.code == 153
