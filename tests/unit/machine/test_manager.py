# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is asked for, and what is made of its answer."""

from collections.abc import Mapping, Sequence

import pytest

from guest_hooks.machine import manager, service
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.program import SYNC_UNIT


class Systemctl:
    """`systemctl` that starts nothing: fails where `shown` says how the unit ended."""

    def __init__(self, shown: str = "", *, code: int = 1) -> None:
        self.shown = shown
        self.code = code
        self.commands: list[Sequence[str]] = []

    def __call__(
        self,
        command: Sequence[str],
        *,
        name: str = "",  # noqa: ARG002
        timeout: float = 0,  # noqa: ARG002
        stdin: bytes = b"",  # noqa: ARG002
        env: Mapping[str, str] | None = None,  # noqa: ARG002
        success_codes: Sequence[int] = (0,),  # noqa: ARG002
    ) -> Completed:
        self.commands.append(command)
        if command[1] == "start" and self.shown:
            raise CommandError("systemctl start failed: Job failed.", code=self.code)
        return Completed(code=0, stdout=self.shown.encode(), stderr=b"")


def test_a_repair_by_its_unit() -> None:
    systemctl = Systemctl()
    assert manager.repair_by_unit(run=systemctl) == manager.Repaired()
    assert systemctl.commands == [["systemctl", "start", SYNC_UNIT]]


@pytest.mark.parametrize(
    ("shown", "error", "is_locked"),
    [
        pytest.param(
            "Result=exit-code\nExecMainStatus=4", "could not be repaired", False, id="not-repaired"
        ),
        pytest.param(
            "Result=exit-code\nExecMainStatus=7",
            "something it needs is missing",
            False,
            id="lacking",
        ),
        pytest.param(
            "Result=exit-code\nExecMainStatus=6",
            "another run, or the package manager",
            True,
            id="locked",
        ),
        pytest.param("Result=exit-code\nExecMainStatus=99", "exit code 99", False, id="unknown"),
        pytest.param("Result=timeout\nExecMainStatus=0", "timeout", False, id="timeout"),
        pytest.param("Result=success\nExecMainStatus=0", "Job failed.", False, id="stopped"),
        pytest.param("nothing", "unknown", False, id="nothing-known"),
    ],
)
def test_why_a_repair_failed(shown: str, error: str, is_locked: bool) -> None:
    repaired = manager.repair_by_unit(run=Systemctl(shown), sleep=lambda _: None)
    assert error in repaired.error
    assert repaired.is_locked is is_locked


def test_a_start_that_systemd_lets_go_of_is_asked_for_again() -> None:
    """As by `systemctl daemon-reexec`: the repair goes on."""
    systemctl = Systemctl("Result=success\nExecMainStatus=0")
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        systemctl.shown = ""

    assert manager.repair_by_unit(run=systemctl, sleep=sleep) == manager.Repaired()
    assert len(pauses) == 1
    assert [command[1] for command in systemctl.commands] == ["start", "show", "start"]


def test_a_start_that_was_ended_is_not_asked_for_again() -> None:
    """The service that ends kills what waits for it, and nothing may take its place."""
    systemctl = Systemctl("Result=success\nExecMainStatus=0", code=137)
    repaired = manager.repair_by_unit(run=systemctl)
    assert repaired.error
    assert [command[1] for command in systemctl.commands] == ["start", "show"]


@pytest.mark.parametrize(
    ("script", "error", "is_locked"),
    [
        pytest.param("exit 0", "", False, id="done"),
        pytest.param("echo no space >&2; exit 4", "no space", False, id="failed"),
        pytest.param("echo held >&2; exit 6", "held", True, id="locked"),
    ],
)
def test_a_repair_by_a_command(script: str, error: str, is_locked: bool) -> None:
    repaired = manager.repair_by_command(["sh", "-c", script])
    assert error in repaired.error
    assert bool(repaired.error) is bool(error)
    assert repaired.is_locked is is_locked


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        pytest.param({}, 0.0, id="none"),
        pytest.param({"WATCHDOG_USEC": "3000000"}, 1.5, id="half"),
        pytest.param(
            {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0, id="for-another-process"
        ),
        pytest.param({"WATCHDOG_USEC": "soon"}, 0.0, id="rubbish"),
    ],
)
def test_the_interval_of_pings(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], interval: float
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/none")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert manager.Manager(unit=service.WATCHER).ping_interval == interval
