# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs keep out of the package manager's way, in a booted systemd with the real apt and dpkg."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guest_hooks.machine.dpkg import LOCKS
from tests.support.nspawn_guest import SECOND_STAGE, Guest

SYNC = "xen-guest-bootloader-sync.service"
HOLD = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX);"
    " open('/run/held', 'w'); time.sleep(600)"
)
PACKAGE = """\
set -e
mkdir -p /root/{name}/DEBIAN
printf 'Package: {name}\\nVersion: 1\\nArchitecture: all\\n' > /root/{name}/DEBIAN/control
printf 'Maintainer: nobody <nobody@localhost>\\n{field}Description: one\\n' \
    >> /root/{name}/DEBIAN/control
printf '#!/bin/sh\\nset -e\\n{script}\\n' > /root/{name}/DEBIAN/postinst
chmod 755 /root/{name}/DEBIAN/postinst
dpkg-deb --build --root-owner-group /root/{name} /root/{name}.deb
"""
IS_THERE = f"if [ -e {SECOND_STAGE} ]; then touch /run/too-early; fi"


@contextmanager
def held(guest: Guest, path: str) -> Iterator[None]:
    """For the block, a process holds dpkg's or its front end's lock."""
    guest.run(f'rm -f /run/held; systemd-run --quiet --unit=holder python3 -c "{HOLD}" {path}')
    guest.until("test -e /run/held")
    try:
        yield
    finally:
        guest.run("systemctl stop holder")


@pytest.mark.parametrize("path", LOCKS)
def test_a_repair_waits_for_a_lock_and_says_so(guest: Guest, path: str) -> None:
    before = guest.syncs()
    with held(guest, path):
        guest.run(f"rm {SECOND_STAGE}")
        guest.until(f"test $(systemctl show -P ActiveState {SYNC}) = activating")
        shown = guest.run("sleep 2; xen-guest-bootloader status", check=False).stdout
        assert "the repair waits: process " in shown
        assert path in shown
        assert guest.run(f"test -e {SECOND_STAGE}", check=False).returncode != 0
    guest.until(f"test -s {SECOND_STAGE}")
    guest.at_rest()
    assert guest.syncs() == before + 1


def test_the_timers_run_waits_and_stops_when_told_to(guest: Guest) -> None:
    guest.run("systemctl stop xen-guest-bootloader")
    with held(guest, LOCKS[0]):
        guest.run(f"rm {SECOND_STAGE} && systemctl start --no-block {SYNC} && sleep 2")
        assert guest.out(f"systemctl show -P ActiveState {SYNC}") == "activating"
        assert guest.run(f"test -e {SECOND_STAGE}", check=False).returncode != 0
        guest.run(f"timeout 20 systemctl stop {SYNC}")
        assert guest.out(f"systemctl show -P ExecMainStatus {SYNC}") == "6"
        guest.run(f"systemctl start --no-block {SYNC}")
    guest.until(f"test -s {SECOND_STAGE}")


def test_by_hand_it_is_done_at_once_with_a_warning(guest: Guest) -> None:
    guest.run("systemctl stop xen-guest-bootloader")
    with held(guest, LOCKS[0]):
        done = guest.run(f"rm {SECOND_STAGE} && xen-guest-bootloader sync")
        assert "packages are being installed at the same time: process " in done.stderr
        guest.run(f"test -s {SECOND_STAGE}")


def test_nothing_is_repaired_between_two_runs_of_dpkg_by_apt(guest: Guest) -> None:
    """The front end's lock is held from the first run to the last; dpkg's own is free between
    two.
    """
    guest.run(PACKAGE.format(name="first", field="", script=f"rm {SECOND_STAGE}"))
    guest.run(PACKAGE.format(name="second", field="Pre-Depends: first\\n", script=IS_THERE))
    guest.run(PACKAGE.format(name="third", field="Pre-Depends: second\\n", script=IS_THERE))
    guest.run(
        "printf '#!/bin/sh\\ndpkg \"$@\"\\ncode=$?\\nsleep 3\\nexit $code\\n' > /root/slow-dpkg;"
        " chmod 755 /root/slow-dpkg"
    )
    guest.run("rm -f /run/too-early /var/log/dpkg.log")
    slowly = "-o Dir::Bin::dpkg=/root/slow-dpkg --no-install-recommends"
    guest.run(f"apt-get install -y {slowly} /root/first.deb /root/second.deb /root/third.deb")
    assert int(guest.out("grep -c ' startup ' /var/log/dpkg.log")) >= 4
    assert guest.run("test -e /run/too-early", check=False).returncode != 0
    guest.until(f"test -s {SECOND_STAGE}")
    guest.at_rest()
    guest.run("dpkg --purge third second first; rm -rf /root/first* /root/second* /root/third*")


def test_a_half_configured_package_is_waited_for(guest: Guest) -> None:
    guest.run(PACKAGE.format(name="half", field="", script="test -e /run/may-configure"))
    assert (
        guest.run("rm -f /run/may-configure; dpkg --install /root/half.deb", check=False).returncode
        != 0
    )
    guest.run(f"rm {SECOND_STAGE}; sleep 3")
    assert guest.run(f"test -e {SECOND_STAGE}", check=False).returncode != 0
    guest.run("touch /run/may-configure; dpkg --configure --pending")
    guest.until(f"test -s {SECOND_STAGE}")
    guest.at_rest()
    guest.run("dpkg --purge half; rm -rf /root/half*")
