# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on file systems whose files the kernel's table of locks does not tell apart."""

import functools
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guest_hooks.machine import holders
from guest_hooks.machine.root import Root
from tests.support import other_users


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file on each of two file systems without a device, of the same inode number; btrfs has
    none, either.
    """
    files = []
    with ExitStack() as stack:
        for name in ("guest", "other"):
            (tmp_path / name).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", name, tmp_path / name], check=True, timeout=60)
            stack.callback(
                functools.partial(
                    subprocess.run, ["umount", tmp_path / name], check=True, timeout=60
                )
            )
            files.append(tmp_path / name / "lock")
            files[-1].touch()
        yield files[0], files[1]


def test_a_strangers_file_of_the_same_number_is_not_dpkgs(two: tuple[Path, Path]) -> None:
    ours, other = two
    assert ours.stat().st_ino == other.stat().st_ino
    root = Root(str(ours.parent))
    with other_users.lock(other):
        assert holders.holder(root, "/lock") is None
    with other_users.lock(ours) as process:
        found = holders.holder(root, "/lock")
        assert found is not None
        assert found.pid == process.pid
