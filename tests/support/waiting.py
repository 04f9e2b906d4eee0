# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what another process or thread is about to do."""

import time
from collections.abc import Callable

PATIENCE = 30.0


def until(claim: Callable[[], object], *, patience: float = PATIENCE, pause: float = 0.005) -> None:
    """Return as soon as `claim` holds; AssertionError where it does not within `patience`
    seconds, which no figure depends on.
    """
    deadline = time.monotonic() + patience
    while not claim():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(pause)
