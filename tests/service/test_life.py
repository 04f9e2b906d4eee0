# SPDX-License-Identifier: GPL-3.0-or-later
"""How the watcher lives, dies and comes back, in a booted systemd."""

import json

from guest_hooks.machine.journal import KINDS, Outcome
from guest_hooks.paths import RECEIPT
from tests.support.nspawn_guest import SECOND_STAGE, TARGET, Guest

CORE = f"/boot/grub/{TARGET}/core.elf"
"""Where it or the receipt is, a deleted second stage is put back without grub-install."""
WATCHER = "xen-guest-bootloader.service"
SYNC = "xen-guest-bootloader-sync.service"
RESTARTED = (
    "systemctl is-active {unit} && test $(systemctl show -P MainPID {unit}) != {pid}"
    " && test -s /run/xen-guest-bootloader/watch/state.json"
)
WAITS = """\
[Service]
ExecStart=
ExecStart=/bin/sh -c 'kill -STOP $$$$; exec /usr/bin/xen-guest-bootloader watch'
"""
"""A drop-in with which the watcher, before it does anything, waits for SIGCONT."""


def main_pid(guest: Guest) -> str:
    return guest.out(f"systemctl show -P MainPID {WATCHER}")


def comes_back(guest: Guest, pid: str) -> None:
    """The watcher runs as another process, and repairs."""
    guest.until(RESTARTED.format(unit=WATCHER, pid=pid))
    guest.run(f"rm {SECOND_STAGE}")
    guest.until(f"test -s {SECOND_STAGE}")


def test_it_starts_with_the_system_and_says_how_it_is(guest: Guest) -> None:
    assert guest.out(f"systemctl is-enabled {WATCHER}") == "enabled"
    assert "as it was left" in guest.out(f"systemctl show -P StatusText {WATCHER}")
    assert guest.service()["troubles"] == []
    assert guest.resident_mib() < 30


def test_it_cannot_write_to_boot(guest: Guest) -> None:
    for path in ("/boot", "/boot/xen", "/usr/lib/grub", "/var/lib/xen-guest-bootloader", "/etc"):
        done = guest.run(f"nsenter -t {main_pid(guest)} -m touch {path}/new", check=False)
        assert "Read-only file system" in done.stderr
    assert guest.out(f"grep CapEff /proc/{main_pid(guest)}/status").split()[1].strip("0") == ""


def test_killed_it_comes_back(guest: Guest) -> None:
    pid = main_pid(guest)
    guest.run(f"kill -KILL {pid}")
    comes_back(guest, pid)


def test_stopped_past_its_watchdog_it_comes_back(guest: Guest) -> None:
    dropin = f"/run/systemd/system/{WATCHER}.d/20-quick.conf"
    guest.run(f"mkdir -p $(dirname {dropin}) && printf '[Service]\\nWatchdogSec=2s\\n' > {dropin}")
    guest.run(f"systemctl daemon-reload && systemctl restart {WATCHER}")
    try:
        pid = main_pid(guest)
        guest.run(f"kill -STOP {pid}")
        comes_back(guest, pid)
        assert "Watchdog timeout" in guest.out(f"journalctl -u {WATCHER} -o cat -n 50")
    finally:
        guest.run(f"rm {dropin} && systemctl daemon-reload && systemctl restart {WATCHER}")


def test_without_inotify_it_says_so_and_recovers(guest: Guest) -> None:
    troubled, mended = (
        KINDS[each].message_id for each in (Outcome.WATCH_TROUBLED, Outcome.WATCH_MENDED)
    )
    dropin = guest.tree / f"etc/systemd/system/{WATCHER}.d/20-waits.conf"
    guest.run("journalctl --rotate --vacuum-time=1s")
    # Not by the kernel's limit, which is the whole machine's: by a tracer that is there before the
    # watcher begins.
    dropin.write_text(WAITS)
    try:
        guest.run(f"systemctl daemon-reload && systemctl restart --no-block {WATCHER}")
        guest.until(f"grep -q '^State:.T' /proc/$(systemctl show -P MainPID {WATCHER})/status")
        pid = main_pid(guest)
        with guest.refused(guest.pid(f"echo {pid}"), "inotify_init,inotify_init1", "EMFILE"):
            guest.run(f"kill -CONT {pid}")
            guest.until(f"journalctl -q -o cat MESSAGE_ID={troubled} | grep 'cannot be watched'")
            assert guest.service()["troubles"]
    finally:
        dropin.unlink()
        guest.run("systemctl daemon-reload")
    guest.run(f"systemctl reload {WATCHER}")
    guest.until(f"journalctl -q -o cat MESSAGE_ID={mended} | grep .")
    assert main_pid(guest) == pid
    assert guest.service()["troubles"] == []
    guest.run(f"rm {SECOND_STAGE}")
    guest.until(f"test -s {SECOND_STAGE}")


def test_a_stopped_watcher_lets_the_repair_go_on(guest: Guest) -> None:
    with guest.slow_grub_install():
        guest.run(f"rm {SECOND_STAGE} {CORE} {RECEIPT}")
        guest.until("test -e /run/grub-install-waits")
        guest.run(f"systemctl stop {WATCHER}")
        assert guest.out(f"systemctl show -P Result {WATCHER}") == "success"
        assert guest.out(f"systemctl show -P ActiveState {SYNC}") == "activating"
    guest.until(f"test -s {SECOND_STAGE}")
    guest.until(f"test $(systemctl show -P ActiveState {SYNC}) = inactive")
    assert guest.out(f"systemctl show -P Result {SYNC}") == "success"


def test_a_watcher_stopped_before_it_runs_has_not_failed(guest: Guest) -> None:
    dropin = guest.tree / f"etc/systemd/system/{WATCHER}.d/20-condition.conf"
    guest.run(f"systemctl stop {WATCHER}")
    dropin.write_text("[Service]\nExecCondition=\nExecCondition=sleep 60\n")
    try:
        guest.run(f"systemctl daemon-reload && systemctl start --no-block {WATCHER}")
        guest.until(f"test $(systemctl show -P SubState {WATCHER}) = condition")
        guest.run(f"systemctl stop {WATCHER}")
        assert guest.out(f"systemctl show -P Result {WATCHER}") == "success"
    finally:
        dropin.unlink()
        guest.run(f"systemctl daemon-reload; systemctl start {WATCHER}")


def test_a_repair_told_to_stop_is_finished(guest: Guest) -> None:
    with guest.slow_grub_install():
        guest.run(f"rm {SECOND_STAGE} {CORE} {RECEIPT}")
        guest.until("test -e /run/grub-install-waits")
        guest.run(f"systemctl stop --no-block {SYNC}")
        guest.until(f"test $(systemctl show -P SubState {SYNC}) = stop-sigterm")
    guest.until(f"test -s {SECOND_STAGE}")
    guest.until(f"test $(systemctl show -P ActiveState {SYNC}) = inactive")


def test_reload_takes_a_new_configuration_and_refuses_a_wrong_one(guest: Guest) -> None:
    pid = main_pid(guest)
    guest.run("echo 'settle_seconds = \"soon\"' > /etc/xen-guest-bootloader/conf.d/wrong.toml")
    guest.run(f"systemctl reload {WATCHER}")
    # systemctl comes back when the signal is sent; the watcher may not have read anything yet.
    guest.until(f"journalctl -o cat -n 20 -u {WATCHER} | grep -F 'wrong.toml: settle_seconds'")
    guest.run("rm /etc/xen-guest-bootloader/conf.d/wrong.toml")
    guest.run(f"systemctl reload {WATCHER}")
    assert main_pid(guest) == pid


def test_off_xen_no_unit_starts(guest: Guest) -> None:
    for unit in (WATCHER, SYNC):
        guest.run(
            f"systemctl stop {unit}; mv /etc/systemd/system/{unit}.d/10-no-xen.conf"
            f" /run/{unit}.kept"
        )
    try:
        guest.run("systemctl daemon-reload")
        for unit in (WATCHER, SYNC):
            guest.run(f"systemctl start {unit}")
            assert guest.out(f"systemctl show -P ConditionResult {unit}") == "no"
            assert guest.out(f"systemctl show -P ActiveState {unit}") == "inactive"
    finally:
        for unit in (WATCHER, SYNC):
            guest.run(f"mv /run/{unit}.kept /etc/systemd/system/{unit}.d/10-no-xen.conf")
        guest.run("systemctl daemon-reload")


def test_where_it_does_not_apply_the_unit_is_skipped(guest: Guest) -> None:
    guest.run("mv /etc/xen-guest-bootloader/conf.d/test.toml /run/test.toml")
    try:
        guest.run(f"systemctl restart {WATCHER}")
        assert guest.out(f"systemctl show -P ActiveState {WATCHER}") == "inactive"
        assert guest.out(f"systemctl show -P Result {WATCHER}") == "exec-condition"
    finally:
        guest.run("mv /run/test.toml /etc/xen-guest-bootloader/conf.d/test.toml")


def test_a_wrong_configuration_fails_the_unit(guest: Guest) -> None:
    guest.run("echo 'settle_second = 1' > /etc/xen-guest-bootloader/conf.d/wrong.toml")
    assert guest.run(f"systemctl restart {WATCHER}", check=False).returncode != 0
    assert guest.out(f"systemctl show -P ActiveState {WATCHER}") == "failed"
    assert guest.out(f"systemctl show -P Result {WATCHER}") == "exit-code"
    guest.run("journalctl --sync")
    assert "wrong.toml: unknown key 'settle_second'" in guest.out(
        f"journalctl -o cat -n 20 -u {WATCHER}"
    )
    assert guest.run(f"systemctl start {SYNC}", check=False).returncode != 0
    assert guest.out(f"systemctl show -P Result {SYNC}") == "exit-code"


def test_status_of_a_killed_watcher_is_honest(guest: Guest) -> None:
    read = (
        "python3 -c 'from guest_hooks.machine import service, root; import dataclasses, json;"
        " print(json.dumps(dataclasses.asdict(service.read(root.Root()))))'"
    )
    running = json.loads(guest.out(read))
    assert running["running"]
    assert str(running["pid"]) == main_pid(guest)
    guest.run(f"systemctl stop {WATCHER}")
    assert not json.loads(guest.out(read))["running"]
