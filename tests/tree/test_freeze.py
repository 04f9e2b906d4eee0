# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that was frozen here is writable again within a second, whoever dies when."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from guest_hooks.machine.freeze import freeze_and_thaw
from guest_hooks.machine.offspring import PATIENCE
from guest_hooks.machine.run import GRACE, NotEndedError, run
from tests.support import freezing, images

PAUSE = 0.05
CHILD_SECONDS = 10.0


@pytest.fixture(scope="module", params=["ext4", "xfs", "btrfs"])
def top(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with images.disk(tmp_path_factory.mktemp("freeze"), request.param) as disk:
        yield disk.top


@pytest.fixture
def directory(top: Path) -> Iterator[int]:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)
    freezing.thaw(top)


def in_a_process(work: Callable[[], None]) -> int:
    """Fork a process that does `work` and ends with 0, or 1 where that raises; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_frozen_file_system_is_not_writable(top: Path) -> None:
    freezing.freeze(top)
    assert not freezing.is_writable(top)
    assert freezing.thaw(top)
    assert freezing.is_writable(top)


def test_it_is_frozen_and_thawed(top: Path, directory: int) -> None:
    (top / "witness").unlink(missing_ok=True)

    def look(name: str) -> None:
        if name == "frozen" and not freezing.is_writable(top, seconds=PAUSE):
            os.write(report, b"frozen")

    reader, report = os.pipe()
    freeze_and_thaw(directory, failpoint=look)
    os.close(report)
    assert os.read(reader, 100) == b"frozen"
    os.close(reader)
    assert not freezing.thaw(top)
    assert freezing.is_writable(top)


@pytest.mark.parametrize("point", ["ready", "freezing", "frozen", "thawed"])
def test_the_parent_thaws_when_the_child_is_killed(top: Path, directory: int, point: str) -> None:
    def fail(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with suppress(InterruptedError):
        freeze_and_thaw(directory, failpoint=fail)
    assert freezing.is_writable(top)
    assert not freezing.thaw(top)


def test_the_parent_thaws_when_the_child_is_stopped(top: Path, directory: int) -> None:
    def stop(name: str) -> None:
        if name == "frozen":
            os.kill(os.getpid(), signal.SIGSTOP)

    pid = in_a_process(lambda: freeze_and_thaw(directory, failpoint=stop))
    assert freezing.is_writable(top)
    assert ended(pid) == 0
    assert not freezing.thaw(top)


@pytest.mark.parametrize("point", ["ready", "freezing", "frozen", "thawed", "watching"])
def test_the_child_thaws_when_the_parent_is_killed(top: Path, directory: int, point: str) -> None:
    def fail(name: str) -> None:
        if name == point:
            os.kill(os.getpid() if name == "watching" else os.getppid(), signal.SIGKILL)
            time.sleep(PAUSE)

    reader, held = os.pipe()
    pid = in_a_process(lambda: freeze_and_thaw(directory, failpoint=fail))
    os.close(held)
    assert ended(pid) == -signal.SIGKILL
    # The child holds the other end to its own end, which may come late on a busy machine.
    assert select.select([reader], [], [], CHILD_SECONDS)[0]
    os.close(reader)
    assert freezing.is_writable(top)
    assert not freezing.thaw(top)


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_a_kill_at_any_moment_leaves_it_writable(top: Path, directory: int, victim: str) -> None:
    for moment in range(25):
        reader, writer = os.pipe()

        def tell(name: str, writer: int = writer) -> None:
            if name == "ready":
                os.write(writer, f"{os.getpid()}\n".encode())

        pid = in_a_process(lambda tell=tell: freeze_and_thaw(directory, failpoint=tell))  # type: ignore[misc]
        os.close(writer)
        child = int(os.read(reader, 100).split()[0])
        time.sleep(moment * 0.0008)
        with suppress(ProcessLookupError):
            os.kill(pid if victim == "parent" else child, signal.SIGKILL)
        ended(pid)
        os.close(reader)
        assert freezing.is_writable(top)


def test_a_child_that_dies_once_is_followed_by_another(
    top: Path, directory: int, tmp_path: Path
) -> None:
    def fail_once(name: str) -> None:
        if name == "freezing" and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    freeze_and_thaw(directory, failpoint=fail_once)
    assert freezing.is_writable(top)


def test_a_child_that_always_dies_is_an_error(top: Path, directory: int) -> None:
    def fail(name: str) -> None:
        if name == "freezing":
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(InterruptedError, match="killed each time"):
        freeze_and_thaw(directory, failpoint=fail)
    assert freezing.is_writable(top)


def test_another_ones_freeze_is_waited_for_and_left_alone(top: Path, directory: int) -> None:
    freezing.freeze(top)
    with pytest.raises(OSError, match="busy"):
        freeze_and_thaw(directory, timeout=0.2)
    assert not freezing.is_writable(top, seconds=PAUSE)

    attempts: list[str] = []

    def thaw_before_the_third(name: str) -> None:
        attempts.append(name)
        if attempts.count("freezing") == 3:
            freezing.thaw(top)

    freeze_and_thaw(directory, timeout=20, failpoint=thaw_before_the_third)
    assert freezing.is_writable(top)


def children() -> set[int]:
    """The processes that this one has started, others' guests among them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, parent, *_ = path.read_text().rpartition(") ")[2].split()
            found |= {int(path.parent.name)} if int(parent) == os.getpid() else set()
    return found


def test_a_program_that_the_kernel_does_not_let_go_is_left_to_itself(top: Path) -> None:
    """It waits for the disk, and not even SIGKILL ends it before that."""
    others = children()
    freezing.freeze(top)
    began = time.monotonic()
    try:
        with pytest.raises(NotEndedError):
            run(["touch", str(top / "waited-for")], timeout=0.2)
        with pytest.raises(NotEndedError):
            run(["touch", str(top / "waited-for")], timeout=0.2, with_offspring=True)
        assert time.monotonic() - began < 2 * (GRACE + PATIENCE) + 10
    finally:
        freezing.thaw(top)
        for pid in children() - others:  # now they end
            os.waitpid(pid, 0)
