"""What a program that is started finds around it."""

from pathlib import Path

import pytest

from guest_hooks.machine.run import PATH, environment, run


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


@pytest.mark.parametrize("name", ["BASH_ENV", "ENV", "PYTHONPATH", "BASH_FUNC_grub_probe%%", "LD_PRELOAD", "GRUB_PREFIX"])
def test_nothing_else_of_the_caller_s_reaches_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "() { echo another; }")
    assert name not in environment()
