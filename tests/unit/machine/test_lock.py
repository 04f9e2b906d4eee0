# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time, and who it is."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from guest_hooks.errors import ExitCode, GuestHooksError, LockedError
from guest_hooks.machine import lock
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.paths import LOCK
from tests.support import other_users
from tests.support.checkout import CHECKOUT

HOLD = """
import sys
from guest_hooks.machine import lock
from guest_hooks.machine.root import Root
with lock.held(Root(sys.argv[1]), timeout=20):
    print("held", flush=True)
    sys.stdin.read()
"""


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(str(tmp_path))


def holder(root: Root) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, root.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(CHECKOUT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_directory_is_made_and_the_file_stays(root: Root) -> None:
    with lock.held(root, timeout=0):
        inode = root.lstat(LOCK)
    with lock.held(root, timeout=0):
        pass
    assert inode is not None
    assert root.lstat(LOCK) == inode


def test_another_holder_is_named_when_the_time_is_over(root: Root) -> None:
    clock = Clock()
    with holder(root) as process:
        named = rf"lock is held by process {process.pid} \(.*-c \?import sys.*\); waited 3 s"
        with (
            pytest.raises(LockedError, match=named) as caught,
            lock.held(root, timeout=3, clock=clock, sleep=clock.sleep),
        ):
            pass
        assert caught.value.exit_code is ExitCode.LOCKED
        assert clock.now == pytest.approx(3, abs=2 * lock.POLL_SECONDS)
        process.communicate()
    with lock.held(root, timeout=0):
        pass


def test_the_locks_of_others_cost_no_time(root: Root) -> None:
    with other_users.many_locks(Path("/dev/shm"), 150_000), holder(root) as process:
        start = time.monotonic()
        with (
            pytest.raises(LockedError, match=f"lock is held by process {process.pid} "),
            lock.held(root, timeout=0),
        ):
            pass
        assert time.monotonic() - start < 1
        process.communicate()


def test_it_is_waited_for(root: Root) -> None:
    with holder(root) as process:

        def sleep(_seconds: float) -> None:
            process.communicate()

        with lock.held(root, timeout=1000, sleep=sleep):
            pass


def test_a_killed_holder_holds_nothing(root: Root) -> None:
    with holder(root) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock.held(root, timeout=0):
        pass


def test_a_started_program_does_not_inherit_it(root: Root) -> None:
    with lock.held(root, timeout=0):
        program = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with lock.held(root, timeout=0):
            pass
    finally:
        program.kill()
        program.wait()


def test_it_is_released_by_an_error_too(root: Root) -> None:
    with suppress(ZeroDivisionError), lock.held(root, timeout=0):
        _ = 1 / 0
    with lock.held(root, timeout=0):
        pass


def test_a_lock_on_a_file_that_was_replaced_is_taken_again(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / LOCK[1:]
    flock = fcntl.flock

    def replaced_just_before(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        path.touch()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_just_before)
    with lock.held(root, timeout=1), pytest.raises(LockedError), lock.held(root, timeout=0):
        pass


@pytest.mark.parametrize(
    "end", [KeyboardInterrupt(), OSError(errno.ENOLCK, "no locks"), BlockingIOError()], ids=repr
)
def test_whatever_keeps_it_from_being_taken_leaves_no_descriptor(
    root: Root, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def flock(_fd: int, _operation: int) -> None:
        raise end

    monkeypatch.setattr(fcntl, "flock", flock)
    before = os.listdir("/proc/self/fd")
    with pytest.raises((KeyboardInterrupt, OSError, LockedError)), lock.held(root, timeout=0):
        pass
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("kind", ["fifo", "directory", "symlink"])
def test_nothing_but_a_file_is_locked(root: Root, tmp_path: Path, kind: str) -> None:
    path = tmp_path / LOCK[1:]
    path.parent.mkdir(parents=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/etc/hostname")
    expected = GuestHooksError if kind == "symlink" else NotRegularError
    with pytest.raises(expected, match="lock"), lock.held(root, timeout=0):
        pass


def test_two_first_runs_make_the_directory_together(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def made_by_another(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", made_by_another)
    with lock.held(root, timeout=0):
        pass
