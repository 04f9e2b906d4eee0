# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service where what it talks to is gone, full or held by others, in a booted
systemd.
"""

from pathlib import Path

from tests.support.nspawn_guest import DISK, SECOND_STAGE, Guest
from tests.support.other_users import HOLD_MANY

WATCHER = "xen-guest-bootloader.service"
JOURNAL = "systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket"
FILL = """
import socket
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setblocking(False)
sender.connect("/run/systemd/journal/socket")
try:
    while True:
        sender.send(b"MESSAGE=x\\n")
except BlockingIOError:
    pass
"""


def main_pid(guest: Guest) -> str:
    return guest.out(f"systemctl show -P MainPID {WATCHER}")


def test_without_a_journal_it_repairs_and_goes_on(guest: Guest) -> None:
    pid = main_pid(guest)
    guest.run(
        f"systemctl stop {JOURNAL} systemd-journald-audit.socket; rm -f /run/systemd/journal/socket"
    )
    try:
        for _ in range(2):
            guest.run(f"rm {SECOND_STAGE}")
            guest.until(f"test -s {SECOND_STAGE}")
            guest.at_rest()
        assert guest.service()["repair"] == "done"
        assert main_pid(guest) == pid
    finally:
        guest.run(f"systemctl start {JOURNAL}")


def test_a_journal_that_does_not_read_stops_nothing(guest: Guest) -> None:
    pid = main_pid(guest)
    guest.run("kill -STOP $(systemctl show -P MainPID systemd-journald)")
    try:
        guest.run(f"python3 -c '{FILL}'; rm {SECOND_STAGE}")
        guest.until(f"test -s {SECOND_STAGE}", patience=60)
        guest.at_rest()
        assert guest.service()["repair"] == "done"
        assert main_pid(guest) == pid
    finally:
        guest.run("kill -CONT $(systemctl show -P MainPID systemd-journald)")


def test_the_locks_of_another_user_delay_no_repair(guest: Guest) -> None:
    (Path(guest.tree) / "var/tmp/hold.py").write_text(HOLD_MANY)
    start = "tail -f /dev/null | python3 /var/tmp/hold.py /dev/shm 300000 > /dev/shm/many"
    guest.run(
        f"systemd-run --quiet --unit=holder -p User=nobody -p LimitNOFILE=4096 sh -c '{start}'"
    )
    try:
        guest.until("grep -q held /dev/shm/many")
        guest.run(f"rm {SECOND_STAGE}")
        guest.until(f"test -s {SECOND_STAGE}", patience=15)
        guest.at_rest()
    finally:
        guest.run("systemctl stop holder; rm /dev/shm/many")


def test_by_hand_a_boot_that_is_mounted_for_writing_later_is_watched_on(guest: Guest) -> None:
    """The unit would have itself restarted, for a namespace in which /boot is read-only; by
    hand there is no such unit.
    """
    guest.run(f"systemctl stop {WATCHER}; mount -o remount,ro /boot")
    guest.run(
        "systemd-run --quiet --unit=by-hand --setenv=NOTIFY_SOCKET=/run/systemd/notify"
        " xen-guest-bootloader watch"
    )
    try:
        guest.until("grep -q quiet /run/xen-guest-bootloader/watch/state.json")
        guest.run(f"mount -o remount,rw /boot && sleep 1 && rm {SECOND_STAGE}")
        guest.until(f"test -s {SECOND_STAGE}")
        guest.run(f"umount /boot && mount {DISK} /boot && sleep 1 && rm {SECOND_STAGE}")
        guest.until(f"test -s {SECOND_STAGE}")
        assert guest.out(f"systemctl show -P ActiveState {WATCHER}") == "inactive"
        assert guest.out("systemctl show -P ActiveState by-hand") == "active"
    finally:
        guest.run("mount -o remount,rw /boot; systemctl stop by-hand")
