# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest shares the machine's kernel: none of its programs changes a setting of it."""

from tests.support.nspawn_guest import SETTING, Guest


def test_no_setting_of_the_machine_can_be_written(guest: Guest) -> None:
    assert guest.out("find /proc/sys -type f -writable") == SETTING
    guest.run("[ ! -e /proc/sysrq-trigger ] || [ -c /proc/sysrq-trigger ]")
    refused = guest.run("echo 1 >/proc/sys/vm/laptop_mode", check=False)
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


def test_no_attribute_of_the_machine_can_be_written_but_its_loop_devices(guest: Guest) -> None:
    """Udev writes to these."""
    script = "find /sys -path /sys/fs -prune -o -type f -writable -print | cut -d/ -f1-5 | sort -u"
    assert guest.out(script) == "/sys/devices/virtual/block"
