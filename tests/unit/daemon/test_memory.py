# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service keeps in memory for good: what it imports."""

import subprocess
import sys

from tests.support.checkout import CHECKOUT

LARGE = {"_hashlib", "elftools", "inspect"}
"""OpenSSL alone is 4 MB; watchdog needs none of these."""


def test_it_imports_nothing_large_that_it_has_no_use_for() -> None:
    words = "import sys, guest_hooks.daemon.watcher; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", words],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "/usr/lib/python3/dist-packages"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert LARGE & set(done.stdout.split()) == set()
