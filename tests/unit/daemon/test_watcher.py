# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service's loop, as a process of its own that a test signals, with a repair that
the test decides about.
"""

import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.daemon import pacing
from guest_hooks.machine import hold, service
from guest_hooks.machine.root import Root
from guest_hooks.repairs import Hold, ServiceStatus
from tests.support import watcher_process
from tests.support.checkout import CHECKOUT
from tests.support.waiting import until

SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"


class Service:
    """The process, its tree and what it told its manager."""

    def __init__(self, tree: Path, *, watchdog_usec: int = 0) -> None:
        self.tree = tree
        self.second_stage = Path(f"{tree}{SECOND_STAGE}")
        for name in ("boot/xen", "boot/grub", "run", "etc"):
            (tree / name).mkdir(parents=True)
        (tree / "wanted").write_text(SECOND_STAGE)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(tree / "notify"))
        self.messages: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        environment = {
            "NOTIFY_SOCKET": str(tree / "notify"),
            "PYTHONPATH": str(CHECKOUT),
            "PATH": os.environ["PATH"],
        }
        if watchdog_usec:
            environment["WATCHDOG_USEC"] = str(watchdog_usec)
        self.process = subprocess.Popen(
            [sys.executable, watcher_process.__file__, str(tree)],
            env=environment,
            stderr=(tree / "stderr").open("w"),
        )

    def _listen(self) -> None:
        while message := self.manager.recv(4096).decode():
            self.messages.append(message)

    def told(self, expected: str, *, times: int = 1) -> str:
        """Wait until the manager was told `expected` so often; the last such message."""
        until(lambda: len(self._found(expected)) >= times)
        return self._found(expected)[-1]

    def _found(self, expected: str) -> list[str]:
        return [message for message in self.messages if message.startswith(expected)]

    def kill(self) -> None:
        (self.tree / "slow").unlink(missing_ok=True)
        self.process.kill()
        self.process.wait()
        self.manager.shutdown(socket.SHUT_RDWR)
        self.manager.close()

    def repaired(self, times: int) -> None:
        until(lambda: self.repairs("done") >= times)
        until(lambda: self.status.phase == "quiet")

    def repairs(self, what: str) -> int:
        path = self.tree / "repairs"
        return path.read_text().split().count(what) if path.exists() else 0

    @property
    def status(self) -> ServiceStatus:
        return service.read(Root(str(self.tree)))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path)
    yield found
    found.kill()


def test_it_is_ready_repairs_at_once_and_again(running: Service) -> None:
    running.told("READY=1")
    running.repaired(1)
    running.second_stage.unlink()
    running.repaired(2)
    assert running.second_stage.exists()
    assert "Changed: /boot/xen/pvboot-x86_64.elf" in (running.tree / "stderr").read_text()


def test_its_own_repair_costs_one_look(running: Service) -> None:
    running.repaired(1)
    running.second_stage.unlink()
    running.repaired(2)
    looks = len((running.tree / "looks").read_text().split())
    # At the start, after that repair, at the damage, after its repair; on a machine that is busy
    # events come late. A repair that noticed its own work would look without end.
    assert looks <= 6


def test_status_tells_what_it_does(running: Service) -> None:
    running.repaired(1)
    status = running.status
    assert status.running
    assert status.pid == running.process.pid
    assert status.repair == "done"
    assert status.look == "as it was left"
    assert status.watches >= 3
    assert status.since <= status.repair_at


def test_a_killed_one_is_not_taken_for_running(running: Service) -> None:
    running.repaired(1)
    running.process.kill()
    running.process.wait()
    assert not running.status.running
    assert "ended without a word" in running.status.troubles[0]


def test_a_stopped_one_is_told(running: Service) -> None:
    running.repaired(1)
    running.process.send_signal(signal.SIGSTOP)
    until(lambda: any("stopped by a signal" in trouble for trouble in running.status.troubles))


def test_sigterm_stops_it_and_leaves_no_state(running: Service) -> None:
    running.repaired(1)
    assert running.stop() == 0
    assert running.status == ServiceStatus()
    running.told("STOPPING=1")


def test_sigterm_during_a_repair_does_not_wait_for_the_managers_own(running: Service) -> None:
    (running.tree / "slow").touch()
    until(lambda: running.repairs("begun"))
    assert running.stop() == 0
    assert running.repairs("done") == 0


def test_sigterm_during_a_repair_ends_what_waits_for_it(running: Service) -> None:
    (running.tree / "waits").touch()
    pid = running.tree / "pid"
    until(lambda: pid.exists() and pid.read_text())
    assert running.stop() == 0
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_sighup_reads_the_configuration_anew(running: Service) -> None:
    running.told("READY=1")
    running.process.send_signal(signal.SIGHUP)
    reloading = running.told("RELOADING=1")
    assert int(reloading.split("MONOTONIC_USEC=")[1]) > 0
    running.told("READY=1", times=2)


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 0.0004, 59.9, 1e7, 1e18])
def test_every_wait_is_one_that_poll_takes(seconds: float) -> None:
    waiter = select.poll()
    ready, _ = socket.socketpair()
    waiter.register(ready, select.POLLOUT)
    assert waiter.poll(pacing.poll_timeout(seconds)) != []
    assert (pacing.poll_timeout(seconds) or 0) >= min(seconds * 1000, 60_000)
    assert pacing.poll_timeout(math.inf) is None


def test_a_wrong_configuration_on_reload_is_told_and_not_taken(running: Service) -> None:
    running.repaired(1)
    (running.tree / "misconfigured").touch()
    running.process.send_signal(signal.SIGHUP)
    running.told("RELOADING=1")
    running.told("READY=1", times=2)
    assert "The new configuration was not taken" in (running.tree / "stderr").read_text()
    running.second_stage.unlink()
    running.repaired(2)


def test_what_cannot_be_repaired_is_told_once(running: Service) -> None:
    running.repaired(1)
    (running.tree / "unrepairable").touch()
    running.second_stage.unlink()
    until(lambda: running.status.repair == "it can't be repaired")
    until(lambda: running.status.retry_at)
    for number in range(20):
        (running.tree / f"boot/xen/{number}").touch()
    assert (running.tree / "stderr").read_text().count("Repair failed (") == 1
    assert running.repairs("begun") == 2
    (running.tree / "unrepairable").unlink()
    running.process.send_signal(signal.SIGHUP)
    running.repaired(2)


def test_a_second_watcher_is_refused(running: Service) -> None:
    running.told("READY=1")
    second = subprocess.run(
        [sys.executable, watcher_process.__file__, str(running.tree)],
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "the repair service runs already" in second.stderr


def test_it_pings_its_watchdog(tmp_path: Path) -> None:
    found = Service(tmp_path, watchdog_usec=200_000)
    try:
        found.told("WATCHDOG=1", times=3)
    finally:
        found.kill()


def test_a_repair_of_its_own_is_finished_before_it_ends(tmp_path: Path) -> None:
    found = Service.__new__(Service)
    found.tree = tmp_path
    for name in ("boot/xen", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "wanted").write_text(SECOND_STAGE)
    (tmp_path / "slow").touch()
    process = subprocess.Popen(
        [sys.executable, watcher_process.__file__, str(tmp_path)], env={"PYTHONPATH": str(CHECKOUT)}
    )
    try:
        until(lambda: found.repairs("begun"))
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        (tmp_path / "slow").unlink()
        assert process.wait(timeout=30) == 0
        assert found.repairs("done") == 1
    finally:
        process.kill()
        process.wait()


def test_what_changes_during_a_hold_is_repaired_afterwards(running: Service) -> None:
    running.repaired(1)
    file = running.tree / hold.PATH.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    running.second_stage.unlink()
    until(lambda: running.status.phase == "held")
    assert running.repairs("done") == 1
    assert "on hold" in (running.tree / "stderr").read_text()
    file.unlink()
    running.process.send_signal(signal.SIGHUP)
    running.repaired(2)


def test_a_hold_ends_by_itself(running: Service) -> None:
    running.repaired(1)
    root = Root(str(running.tree))
    (running.tree / "var/lib").mkdir(parents=True, exist_ok=True)
    hold.save(root, Hold(since=0, until=time.time() + 1.5), lock_timeout=0)
    running.second_stage.unlink()
    until(lambda: running.status.phase == "held")
    running.repaired(2)
