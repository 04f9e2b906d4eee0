# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the package manager: for whom, for how long, and what is said."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from guest_hooks.errors import ExitCode, LockedError
from guest_hooks.machine import dpkg, journal, lock
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.sync import packages
from guest_hooks.sync.packages import Clock, Patience
from tests.support import other_users
from tests.support.checkout import CHECKOUT

PATIENCE = Patience(still=600, longest=1200, silent=60, poll=1)
FRONT_END, DPKG = dpkg.LOCKS
FAR = 10_000.0
"""Seconds that no wait may last."""


@dataclass
class World:
    """A guest whose time passes only while something waits for it; `events` happen at their
    time.
    """

    root: Root
    now: float = 0.0
    states: str = "base-files installed\n"
    asked: int = 0
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    held: dict[str, ExitStack] = field(default_factory=dict)

    def hold(self, path: str) -> None:
        self.held[path] = ExitStack()
        self.held[path].enter_context(other_users.lock(Path(self.root.outside(path))))

    def let_go(self, path: str) -> None:
        self.held.pop(path).close()

    def change(self) -> None:
        """A package's state changes."""
        at = 1_700_000_000_000_000_000 + int(self.now * 1e9)
        os.utime(self.root.outside(dpkg.DATABASE[1]), ns=(at, at))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < FAR, "it waits for ever"
        for event in [each for each in self.events if each[0] <= self.now]:
            self.events.remove(event)
            event[1]()

    def run(self, command: Sequence[str], **_: object) -> Completed:
        assert command[0] == "dpkg-query"
        self.asked += 1
        return Completed(code=0, stdout=self.states.encode(), stderr=b"")

    def wait(self) -> tuple[str, ...]:
        """What the run that waits is to warn of."""
        clock = Clock(now=lambda: self.now, wall=lambda: 1_700_000_000 + self.now, sleep=self.sleep)
        with packages.held_between_runs(
            self.root, lock_timeout=0, patience=PATIENCE, clock=clock, run=self.run
        ) as warnings:
            return tuple(warning.message for warning in warnings)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    for path in (*dpkg.LOCKS, dpkg.DATABASE[0]):
        Path(f"{tmp_path}{path}").parent.mkdir(parents=True, exist_ok=True)
        Path(f"{tmp_path}{path}").touch(mode=0o640)
    Path(f"{tmp_path}{dpkg.DATABASE[1]}").mkdir()
    for path in dpkg.DATABASE:
        os.utime(f"{tmp_path}{path}", (1_600_000_000, 1_600_000_000))
    return World(Root(str(tmp_path)))


def test_where_nobody_is_at_work_nothing_is_waited_for_or_asked(world: World) -> None:
    assert world.wait() == ()
    assert world.now == 0
    assert world.asked == 0


@pytest.mark.parametrize("path", dpkg.LOCKS)
def test_a_lock_is_waited_for(world: World, path: str) -> None:
    world.hold(path)
    world.events = [(30, lambda: world.let_go(path))]
    assert world.wait() == ()
    assert world.now == 30


def test_a_front_end_is_waited_for_between_its_runs_of_dpkg(world: World) -> None:
    world.hold(FRONT_END)
    world.hold(DPKG)
    world.events = [
        (10, lambda: world.let_go(DPKG)),
        (15, lambda: world.hold(DPKG)),
        (20, lambda: world.let_go(DPKG)),
        (25, lambda: world.let_go(FRONT_END)),
    ]
    assert world.wait() == ()
    assert world.now == 25


def test_after_a_minute_it_is_told_once(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.hold(FRONT_END)
    world.events = [
        (59, lambda: silent.append(capfd.readouterr().err)),
        (500, lambda: world.let_go(FRONT_END)),
    ]
    silent: list[str] = []
    world.wait()
    assert silent == [""]
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "waits, for packages are being installed: process " in said
    assert f"holds {world.root.outside(FRONT_END)}" in said


def test_a_forgotten_front_end_is_not_waited_for_longer_than_ten_minutes(world: World) -> None:
    world.hold(FRONT_END)
    (warning,) = world.wait()
    assert world.now == PATIENCE.still
    assert "no package has changed for 600 s" in warning
    assert f"holds {world.root.outside(FRONT_END)}" in warning
    world.let_go(FRONT_END)


def test_while_packages_change_the_wait_is_longer_and_then_the_run_gives_up(world: World) -> None:
    world.hold(FRONT_END)
    world.events = [(at, world.change) for at in range(100, 3000, 100)]
    with pytest.raises(LockedError, match=r"holds .*lock-frontend; waited 1200 s for it") as caught:
        world.wait()
    assert caught.value.exit_code is ExitCode.LOCKED
    assert world.now == PATIENCE.longest
    world.let_go(FRONT_END)


@pytest.mark.parametrize("state", dpkg.UNFINISHED)
def test_a_package_that_is_being_configured_is_waited_for(world: World, state: str) -> None:
    world.change()
    world.states = f"base-files installed\nlinux-image-amd64 {state}\n"

    def configured() -> None:
        world.states = "base-files installed\nlinux-image-amd64 installed\n"
        world.change()

    world.events = [(40, configured)]
    assert world.wait() == ()
    assert world.now == 40
    assert world.asked == 2


def test_a_package_left_half_configured_days_ago_is_not_waited_for(world: World) -> None:
    world.states = "linux-image-amd64 half-configured\n"
    assert world.wait() == ()
    assert world.now == 0


def test_a_package_left_half_configured_now_is_waited_for_ten_minutes(world: World) -> None:
    world.change()
    world.states = "linux-image-amd64 half-configured\n"
    world.wait()
    assert world.now == PATIENCE.still


def test_a_database_of_the_future_is_no_longer_waited_for(world: World) -> None:
    os.utime(world.root.outside(dpkg.DATABASE[0]), (4_000_000_000, 4_000_000_000))
    world.states = "linux-image-amd64 unpacked\n"
    (warning,) = world.wait()
    assert "linux-image-amd64" in warning
    assert world.now == PATIENCE.still


def test_dpkg_that_starts_while_our_lock_is_waited_for_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lock.held

    def held(root: Root, *, timeout: float) -> object:
        monkeypatch.setattr(lock, "held", real)
        world.hold(DPKG)
        world.events = [(world.now + 7, lambda: world.let_go(DPKG))]
        return real(root, timeout=timeout)

    monkeypatch.setattr(lock, "held", held)
    assert world.wait() == ()
    assert world.now == 7


def test_a_dpkg_that_cannot_answer_is_not_waited_for() -> None:
    def broken(*_: Any, **__: Any) -> Completed:
        raise CommandError("dpkg-query failed")

    assert dpkg.unfinished(run=broken) == ()


def test_inside_dpkg_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(dpkg.INSIDE, "1.21.22")
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(packages, "held_between_runs", None)
    monkeypatch.setattr(dpkg, "holder", lambda _root: "dpkg holds it")
    with packages.held(Root(), waits=True, is_asked_for=False, lock_timeout=0) as warnings:
        assert warnings == ()
    with packages.held(Root(), waits=False, is_asked_for=True, lock_timeout=0) as warnings:
        assert warnings == ()


def test_a_run_by_hand_is_warned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(dpkg.INSIDE, raising=False)
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(dpkg, "holder", lambda _root: "process 7 (apt-get) holds it")
    with packages.held(Root(), waits=False, is_asked_for=True, lock_timeout=0) as (warning,):
        assert warning.code == packages.CODE
        assert "process 7 (apt-get)" in warning.message


def test_the_service_managers_signal_ends_the_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "MANAGER_PID", os.getpid())
    world.hold(FRONT_END)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGCONT)).start()
    start = time.monotonic()
    waiting = packages.held_between_runs(world.root, lock_timeout=0)
    with pytest.raises(LockedError, match="told to stop while process "), waiting:
        pass
    assert time.monotonic() - start < 30
    assert signal.SIGCONT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    world.let_go(FRONT_END)


def test_the_same_signal_of_a_shell_does_not(world: World) -> None:
    world.hold(FRONT_END)
    wait = (
        "import sys; from guest_hooks.sync import packages\n"
        "from guest_hooks.machine.root import Root\n"
        "with packages.held_between_runs(Root(sys.argv[1]), lock_timeout=0): print('held')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", wait, world.root.path],
        env={"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(10):
            time.sleep(0.1)
            process.send_signal(signal.SIGCONT)
        assert process.poll() is None
        world.let_go(FRONT_END)
        assert process.communicate(timeout=60)[0] == "held\n"
