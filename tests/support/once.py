# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built once a run and not once for each of its workers."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def shared_directory(factory: pytest.TempPathFactory) -> Path:
    """The directory that all workers of this run share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(directory: Path, make: Callable[[Path], object]) -> Path:
    """`directory` with what `make` puts into it: the first worker that asks calls it, the
    others wait.
    """
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            partial = directory.with_suffix(".partial")
            partial.mkdir()
            make(partial)
            partial.rename(directory)
    return directory
