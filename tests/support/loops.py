# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices of image files."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOP_ATTEMPTS = 20


@contextmanager
def attached(image: Path, *, start: int = 0, length: int = 0) -> Iterator[str]:
    """A loop device of the image, or of `length` bytes of it from `start`, for the block."""
    extent = ["--offset", str(start), "--sizelimit", str(length)] if length else []
    device = _free_loop([*extent, str(image)])
    try:
        yield device
    finally:
        subprocess.run(
            ["losetup", "--detach", device], capture_output=True, timeout=60, check=False
        )


def _free_loop(arguments: Sequence[str]) -> str:
    """Attach to a free loop device; another process may take the same one first."""
    for _ in range(LOOP_ATTEMPTS):
        done = subprocess.run(
            ["losetup", "--find", "--show", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.strip()
        time.sleep(0.1)
    raise AssertionError(f"no loop device: {done.stderr}")
