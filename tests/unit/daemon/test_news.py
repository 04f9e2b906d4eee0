# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service says in the journal, and what it takes of the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from guest_hooks.daemon import events, news
from guest_hooks.machine import journal
from guest_hooks.machine.journal import KINDS
from tests.support.checkout import CHECKOUT


@pytest.mark.parametrize(
    "tell",
    [
        events.Tell(news=each, cause="no space", differences=("/boot/xen/x",))
        for each in events.News
    ],
)
def test_every_news_has_words(
    tell: events.Tell,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    news.tell(tell)
    said = capfd.readouterr().err
    assert "no space" in said or "/boot/xen/x" in said


def test_priorities_are_syslogs() -> None:
    assert {kind.priority for kind in KINDS.values()} <= {3, 4, 5, 6}


def test_it_holds_in_little_memory() -> None:
    """Imports are most of it; the whole process is measured by bench/service.py."""
    script = (
        "import guest_hooks.daemon.watcher, pyudev;"
        "lines = open('/proc/self/status');"
        "print(next(line for line in lines if line.startswith('VmRSS')).split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) < 28 * 1024
