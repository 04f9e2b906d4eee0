# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user meets in a month with a guest: the journal's account of each run, and the commands
that the manual names.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from guest_hooks.machine.journal import Outcome
from guest_hooks.origin import Doer
from tests.support.month import QUESTIONS, command_line
from tests.support.nspawn_guest import SECOND_STAGE, Guest, write

WATCHER = "xen-guest-bootloader.service"
TIMER = "xen-guest-bootloader-audit.timer"
CONFIG = "etc/xen-guest-bootloader/conf.d"


@contextmanager
def unwatched(guest: Guest) -> Iterator[None]:
    """For the block, no watcher is quicker than what is tried."""
    guest.run(f"systemctl stop {WATCHER}")
    try:
        yield
    finally:
        guest.run(f"systemctl start {WATCHER}")


@contextmanager
def daily_timer(guest: Guest) -> Iterator[None]:
    """For the block, the day of the package's timer is over at once."""
    units = "/etc/systemd/system"
    write(
        guest.tree / f"{units.lstrip('/')}/{TIMER}.d/10-now.conf",
        "[Unit]\nConditionVirtualization=\n"
        "[Timer]\nOnCalendar=\nOnActiveSec=1s\nAccuracySec=1ms\nRandomizedDelaySec=0\n",
    )
    guest.run(f"rm {units}/{TIMER} && systemctl daemon-reload && systemctl start {TIMER}")
    try:
        yield
    finally:
        guest.run(f"systemctl stop {TIMER}; rm -r {units}/{TIMER}.d")
        guest.run(f"ln -s /dev/null {units}/{TIMER}; systemctl daemon-reload")


def entries(guest: Guest) -> list[dict[str, str]]:
    guest.run("journalctl --sync")
    rows: list[dict[str, str]] = json.loads(guest.out("xen-guest-bootloader log --json"))["entries"]
    return rows


def test_the_log_says_by_whom(guest: Guest) -> None:
    guest.run("journalctl --rotate --vacuum-time=1s")
    assert entries(guest) == []
    gone = f"rm {SECOND_STAGE}"
    guest.run(gone)
    guest.until(f"test -s {SECOND_STAGE}")
    guest.at_rest()
    with unwatched(guest):
        with daily_timer(guest):
            guest.run(gone)
            guest.until(f"test -s {SECOND_STAGE}")
            guest.until("systemctl is-active xen-guest-bootloader-sync | grep -x inactive")
        guest.run(f"{gone} && dpkg-trigger --by-package=grub-xen-bin /usr/lib/grub/x86_64-xen")
        guest.run("dpkg --triggers-only --pending")
        guest.run(f"test -s {SECOND_STAGE}")
        write(guest.tree / f"{CONFIG}/50-more.toml", 'extra_modules = ["hello"]\n')
        guest.run("SUDO_USER=alice xen-guest-bootloader sync")
        guest.run(f"rm /{CONFIG}/50-more.toml")
        guest.run("SUDO_USER=alice xen-guest-bootloader rollback")
        guest.run("xen-guest-bootloader hold && xen-guest-bootloader unhold")
    rows = [row for row in entries(guest) if row["path"] in (SECOND_STAGE, "")]
    done = [(row["outcome"], row["by"], row["by_name"]) for row in rows]
    assert done == [
        (Outcome.REPAIRED, Doer.SERVICE, ""),
        (Outcome.REPAIRED, Doer.TIMER, ""),
        (Outcome.REPAIRED, Doer.HOOK, "trigger of xen-guest-bootloader"),
        (Outcome.REPAIRED, Doer.PERSON, "alice"),
        (Outcome.ROLLED_BACK, Doer.PERSON, "alice"),
        (Outcome.HELD, Doer.PERSON, "root"),
        (Outcome.RELEASED, Doer.PERSON, "root"),
    ]
    assert {row["path"] for row in rows[:5]} == {SECOND_STAGE}
    assert [row["cause"] for row in rows[:3]] == ["missing"] * 3
    shown = " ".join(guest.out("xen-guest-bootloader log").split())
    assert shown.count(f"Rebuilt {SECOND_STAGE}: it was missing. (by the repair service)") == 1
    assert shown.count("(by the daily timer)") == 1
    assert "(by hook trigger of xen-guest-bootloader)" in shown
    assert "the second stage before the present one. (by alice)" in shown
    said = guest.out("journalctl -xt xen-guest-bootloader --no-pager")
    assert f"Subject: The previous second stage was put back: {SECOND_STAGE}\n" in said


def test_what_the_manual_names_can_be_typed(guest: Guest) -> None:
    wrong = []
    try:
        for question in QUESTIONS:
            line = command_line(question)
            if not line:
                continue
            done = guest.run(line, check=False)
            said = done.stdout + done.stderr
            is_fine = done.returncode in (0, 3) and "Traceback" not in said
            if not (is_fine and (said or line.startswith("echo"))):
                wrong.append((question.asked, line, done.returncode, said[-400:]))
        assert wrong == []
        assert "repair = false" in guest.out("xen-guest-bootloader config")
        assert "off: repair = false" in guest.run("xen-guest-bootloader status", check=False).stdout
    finally:
        guest.run(f"rm -f /{CONFIG}/50-*.toml; xen-guest-bootloader unhold")
