# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file of the repair service: whole, short, and nobody's but the watcher's."""

import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from guest_hooks.machine import service
from guest_hooks.machine.root import Root
from guest_hooks.repairs import ServiceStatus


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="half"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"running": 1}', id="wrong-type"),
        pytest.param(json.dumps({"running": True}).encode(), id="keys-missing"),
    ],
)
def test_a_damaged_state_file_says_nothing(tmp_path: Path, data: bytes) -> None:
    path = Path(f"{tmp_path}{service.FILE}")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert service.read(Root(str(tmp_path))) == ServiceStatus()


def test_who_may_read_the_state_file_can_keep_no_watcher_out(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    service.StateFile(root).close()
    with open(root.outside(service.FILE), "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        fcntl.lockf(other, fcntl.LOCK_SH)
        service.StateFile(root).close()
    assert {
        each.name: each.stat().st_mode & 0o777
        for each in (tmp_path / service.RUN_DIR[1:]).iterdir()
    } == {
        "state.json": 0o644,
        "lock": 0o600,
    }


def test_a_process_that_took_over_the_pid_is_not_the_watcher(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    with subprocess.Popen(["sleep", "60"]) as other:
        file.write(ServiceStatus(running=True, pid=other.pid))
        assert "ended without a word" in service.read(root).troubles[0]
        other.kill()
    file.close()


def test_the_state_file_holds_what_was_written(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    said = ServiceStatus(
        running=True, pid=os.getpid(), since="2026-01-31T12:00:00Z", troubles=("one", "x" * 999)
    )
    file.write(said)
    read = service.read(root)
    assert read.since == said.since
    assert read.troubles == ("one", "x" * service.MOST_WORDS)
    file.close()
    assert service.read(root) == ServiceStatus()


def test_a_long_word_leaves_no_tail_behind(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    long = "\u20ac" * 9999
    file.write(
        ServiceStatus(running=True, pid=os.getpid(), look=long, repair=long, troubles=(long,) * 99)
    )
    assert len(service.read(root).look) == service.MOST_WORDS
    file.write(ServiceStatus(running=True, pid=os.getpid(), look="short"))
    assert service.read(root).look == "short"
    file.close()


def test_the_status_line_is_one_line() -> None:
    line = service.line(
        ServiceStatus(phase="quiet", look_at="now", look="a\nREADY=1", troubles=("x" * 9999,))
    )
    assert "\n" not in line
    assert len(line) <= service.MOST_LINE
