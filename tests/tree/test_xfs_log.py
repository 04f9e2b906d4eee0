# SPDX-License-Identifier: GPL-3.0-or-later
"""An XFS that other users reach is not frozen: what was written is waited for."""

import errno
import os
import time
from pathlib import Path

import pytest

from guest_hooks.machine import durable
from guest_hooks.machine.barrier import LATE, barrier
from guest_hooks.machine.root import Root
from tests.support import freezing, images
from tests.support.other_users import writing_user
from tests.tree.test_durable import NEW, PATH


def test_xfs_that_users_reach_is_waited_for_whatever_they_do(tmp_path: Path) -> None:
    with images.disk(tmp_path, "xfs", is_closed=False) as disk, writing_user(disk.top):
        root = Root(str(disk.top))
        durable.make_dirs(root, "/boot/xen")
        durable.replace(root, PATH, NEW)
        begin = time.monotonic()
        problem = barrier(root, PATH, wait=0.2)
        assert time.monotonic() - begin < 10
        assert problem is not None
        assert problem.code == LATE
        assert freezing.is_writable(disk.top)
        assert disk.grub_cat(PATH) is None
        assert barrier(root, PATH) is None
        assert disk.grub_cat(PATH) == NEW


def test_no_room_is_needed_to_wait_for_xfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, mode, dir_fd=dir_fd)

    with images.disk(tmp_path, "xfs", is_closed=False) as disk:
        (disk.top / "new").touch()
        monkeypatch.setattr(os, "open", full)
        problem = barrier(Root(str(disk.top)), "/", wait=0)
        assert problem is not None
        assert problem.code == LATE
