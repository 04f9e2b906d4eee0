# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that does not end takes nothing of its own along into the time after."""

import os
import time
from pathlib import Path

import pytest

from guest_hooks.machine.run import CommandError, run


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(CommandError, match=r"did not end within 0\.5 s"):
        run(["sh", "-c", f"sleep 1000 & echo $! >{pid_file}; wait"], timeout=0.5)
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] != "Z" and os.getpgid(pid) > 0
    except (FileNotFoundError, ProcessLookupError):
        return False
