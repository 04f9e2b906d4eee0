# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user who is not root can do: hold locks, as many as asked for; keep a write under way."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.checkout import CHECKOUT

NOBODY = 65534
HOLD_MANY = """
import fcntl, sys, tempfile
files = []
for _ in range(int(sys.argv[2]) // 1000):
    files.append(tempfile.TemporaryFile(dir=sys.argv[1]))
    for number in range(999, -1, -1):
        fcntl.lockf(files[-1], fcntl.LOCK_SH, 1, 2 * number)
print("held", flush=True)
sys.stdin.read()
"""
HOLD_OURS = """
import sys
sys.path.insert(0, sys.argv[1])
from guest_hooks.machine import lock
from guest_hooks.machine.root import Root
with lock.held(Root(sys.argv[2]), timeout=20):
    print("held", flush=True)
    sys.stdin.read()
"""
WRITE_FOR_EVER = """
import os
reader, writer = os.pipe()
file = os.open("own", os.O_WRONLY | os.O_CREAT)
print("writing", flush=True)
os.splice(reader, file, 4096)
"""
HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held',"
    " flush=True); sys.stdin.read()"
)


@contextmanager
def many_locks(directory: Path, count: int) -> Iterator[None]:
    """For the block, another user holds `count` locks on files of theirs in `directory`, which
    anyone can write to.
    """
    with _holding(
        [sys.executable, "-c", HOLD_MANY, str(directory), str(count)],
        user=NOBODY if os.geteuid() == 0 else None,
    ):
        yield


@contextmanager
def lock(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """For the block, another process holds an fcntl lock on `path`, as dpkg does."""
    with _holding([sys.executable, "-c", HOLD, str(path)]) as process:
        yield process


@contextmanager
def our_lock(top: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """For the block, another run of ours holds the lock of the tree at `top`."""
    with _holding([sys.executable, "-c", HOLD_OURS, str(CHECKOUT), str(top)]) as process:
        yield process


@contextmanager
def writing_user(top: Path) -> Iterator[None]:
    """A user who keeps a write under way in a file of their own, for the block."""
    home = top / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    command = [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        WRITE_FOR_EVER,
    ]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE) as user:
        try:
            assert user.stdout
            assert user.stdout.readline() == b"writing\n"
            time.sleep(0.2)
            yield
        finally:
            user.kill()


@contextmanager
def _holding(command: list[str], *, user: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, user=user, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.communicate()
