# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock: asked of the file, whatever else is locked on the machine."""

import fcntl
import os
import socket
import struct
from pathlib import Path

import pytest

from guest_hooks.machine import holders, lock
from guest_hooks.machine.root import Root
from guest_hooks.paths import LOCK
from tests.support import other_users

PATH = "/var/lib/dpkg/lock"
MANY = 40_000


@pytest.fixture
def root(tmp_path: Path) -> Root:
    path = Path(f"{tmp_path}{PATH}")
    path.parent.mkdir(parents=True)
    path.touch(mode=0o640)
    return Root(str(tmp_path))


def test_the_holder_is_named(root: Root) -> None:
    assert holders.holder(root, PATH) is None
    with other_users.lock(Path(root.outside(PATH))) as process:
        found = holders.holder(root, PATH)
        assert found is not None
        assert found.pid == process.pid
        assert "import fcntl" in str(found)
    assert holders.holder(root, PATH) is None


def test_nothing_there_is_held_by_nobody(root: Root) -> None:
    assert holders.holder(root, "/var/lib/dpkg/none") is None
    assert holders.holder(root, "/none/lock") is None
    assert holders.holder(root, "/var/lib/dpkg") is None


def test_asking_keeps_nobody_out(root: Root) -> None:
    with open(root.outside(PATH), "r+") as file:
        holders.holder(root, PATH)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_our_own_lock_has_a_name(root: Root) -> None:
    with lock.held(root, timeout=0):
        found = holders.holder(root, LOCK)
        assert found is not None
        assert found.pid == os.getpid()
    assert holders.holder(root, LOCK) is None


def test_a_lock_without_a_pid_is_another_process(root: Root) -> None:
    with open(root.outside(PATH), "r+") as file:
        fcntl.fcntl(
            file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        )
        assert str(holders.holder(root, PATH)) == "another process"


def test_locks_of_others_make_nobody_a_holder_and_hide_none(root: Root) -> None:
    """The table of all locks is 2 MB long."""
    with other_users.many_locks(Path("/dev/shm"), MANY):
        assert holders.holder(root, PATH) is None
        with other_users.lock(Path(root.outside(PATH))) as process:
            found = holders.holder(root, PATH)
            assert found is not None
            assert found.pid == process.pid


def test_sockets_and_fifos_are_not_waited_for(root: Root) -> None:
    os.unlink(root.outside(PATH))
    os.mkfifo(root.outside(PATH))
    assert holders.holder(root, PATH) is None
    os.unlink(root.outside(PATH))
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(os.path.dirname(root.outside(PATH)))
        server.bind("lock")
        os.chdir("/")
        assert holders.holder(root, PATH) is None


@pytest.mark.parametrize(
    ("line", "pid"),
    [
        pytest.param("1: FLOCK  ADVISORY  WRITE 12 fd:03:4711 0 EOF", 12, id="ours"),
        pytest.param("1: POSIX  ADVISORY  WRITE 12 fd:03:4711 0 EOF", 0, id="other-kind"),
        pytest.param("1: FLOCK  ADVISORY  WRITE 12 fd:04:4711 0 EOF", 0, id="other-device"),
        pytest.param("1: FLOCK  ADVISORY  WRITE 12 fd:03:47110 0 EOF", 0, id="other-file"),
        pytest.param("1: -> FLOCK  ADVISORY  WRITE 12 fd:03:4711 0 EOF", 0, id="waiter"),
        pytest.param("1: FLOCK  ADVISORY  WRITE -1 fd:03:4711 0 EOF", 0, id="without-pid"),
        pytest.param("rubbish", 0, id="rubbish"),
        pytest.param("1: FLOCK  ADVISORY  WR", 0, id="cut-off"),
    ],
)
def test_lines_of_the_table(line: str, pid: int) -> None:
    assert holders._flocker(f"0: rubbish\n{line}\n", os.makedev(0xFD, 3), 4711) == pid
