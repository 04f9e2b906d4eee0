# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds dpkg's lock and ours is told at once, however many locks another user holds;
/proc/locks took 2 minutes at the last.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.errors import LockedError
from guest_hooks.machine import dpkg, holders, lock
from guest_hooks.machine.root import Root
from guest_hooks.paths import LOCK
from tests.support import other_users

BOUND = 0.5
"""Seconds; what is asked is answered in less than a thousandth."""


def bounded(ask: Callable[[], object]) -> object:
    """What `ask` answers, within the bound."""
    start = time.monotonic()
    answer = ask()
    assert time.monotonic() - start < BOUND
    return answer


@pytest.mark.parametrize("count", [0, 100_000, 200_000, 400_000, 800_000])
def test_the_locks_of_another_user_cost_no_time(tmp_path: Path, count: int) -> None:
    root = Root(str(tmp_path))
    path = Path(f"{tmp_path}{dpkg.LOCKS[0]}")
    path.parent.mkdir(parents=True)
    path.touch()
    with other_users.many_locks(Path("/dev/shm"), count):
        assert bounded(lambda: dpkg.holder(root)) == ""
        with other_users.lock(path) as process:
            assert str(bounded(lambda: dpkg.holder(root))).startswith(f"process {process.pid} ")
        with lock.held(root, timeout=0):
            assert bounded(lambda: holders.holder(root, LOCK)) is not None
            with pytest.raises(LockedError):
                bounded(lambda: lock.held(root, timeout=0).__enter__())
