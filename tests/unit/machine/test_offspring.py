# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that hangs takes along all that it started, whatever session that went to, and so
does one whose caller is told to end.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from guest_hooks.machine.run import NotEndedError, run
from tests.support import waiting
from tests.support.outside_guest import PYTHON, environment

FLED = "setsid sh -c 'echo $$ >{file}.new; mv {file}.new {file}; exec sleep 1000' >&- 2>&- <&-"
WAYS = {
    "beside-it": "sleep 1000 & echo $! >{file}; wait",
    "in-its-own-session": f"{FLED}",
    "in-its-own-session-without-a-parent": f"( {FLED} & ); until [ -e {{file}} ]; do :; done; "
    "sleep 1000",
    "deaf": "trap '' TERM HUP INT; echo $$ >{file}; while :; do sleep 1000; done",
}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("script", WAYS.values(), ids=WAYS)
def test_what_hangs_leaves_nobody(tmp_path: Path, script: str) -> None:
    file = tmp_path / "pid"
    other = subprocess.Popen(["sleep", "1000"])
    try:
        with pytest.raises(NotEndedError, match=r"it did not end within 0\.5 s"):
            run(["sh", "-c", script.format(file=file)], name="it", timeout=0.5, with_offspring=True)
        pid = int(file.read_text())
        waiting.until(lambda: not is_running(pid))
        assert other.poll() is None, "what the caller had started before is its own"
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("script", list(WAYS.values())[:3:2], ids=list(WAYS)[:3:2])
def test_who_is_told_to_end_leaves_nobody(
    tmp_path: Path, script: str, number: signal.Signals
) -> None:
    file = tmp_path / "pid"
    words = ["sh", "-c", script.format(file=file)]
    program = (
        "from guest_hooks.machine.run import run;"
        f" run({words!r}, timeout=1000, with_offspring=True)"
    )
    # Whoever runs the tests may ignore SIGINT or SIGHUP, as a shell does for what it runs in the
    # background and nohup does.
    caller = subprocess.Popen(
        ["env", "--default-signal", PYTHON, "-c", program],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        waiting.until(lambda: file.exists() and file.read_text().endswith("\n"))
        os.kill(caller.pid, number)
        assert caller.wait(20) == -number
    finally:
        caller.kill()
        caller.wait()
    pid = int(file.read_text())
    waiting.until(lambda: not is_running(pid))


def test_what_ends_well_keeps_its_daemons() -> None:
    """A script may start one for good, as an admin's in /etc/grub.d does."""
    started = run(
        ["sh", "-c", "setsid sleep 1000 >&- 2>&- <&- & echo $!"], with_offspring=True
    ).text
    try:
        assert is_running(int(started))
    finally:
        os.kill(int(started), signal.SIGKILL)
