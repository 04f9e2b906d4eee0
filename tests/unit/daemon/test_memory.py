# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service keeps in memory for good: what it imports."""

import subprocess
import sys

from tests.support.checkout import CHECKOUT

LARGE = {"_hashlib", "elftools", "inspect"}
"""OpenSSL alone is 4 MB."""
GIVEN = "watchdog.events, watchdog.observers.api, watchdog.observers.inotify_c"
"""What the service can't do without; from Python 3.13 that loads `inspect` itself."""


def loaded_by(modules: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys, {modules}; print(*sys.modules)"],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "/usr/lib/python3/dist-packages"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_it_imports_nothing_large_that_it_has_no_use_for() -> None:
    assert LARGE & loaded_by("guest_hooks.daemon.watcher") - loaded_by(GIVEN) == set()
