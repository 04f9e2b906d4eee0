# SPDX-License-Identifier: GPL-3.0-or-later
"""The same on the suites after bookworm: systemd from 257, Python from 3.13, watchdog 6.0."""

from pathlib import Path

import pytest

from tests.support import nspawn_boot, waiting
from tests.support.debian_tree import RELEASES, SUITES, Suite
from tests.support.nspawn_guest import SECOND_STAGE, Guest

WATCHER = "xen-guest-bootloader.service"
LATER = (Suite.TRIXIE, Suite.SID) if SUITES == RELEASES else SUITES


def is_unmoved_by_reading(guest: Guest) -> bool:
    """Whether files are read, which watchdog 6.0 reports if asked to, and the watcher does not
    look.
    """
    guest.run("sleep 1.1")
    looked = guest.service()["look_at"]
    guest.run(f"cat {SECOND_STAGE} /boot/grub/x86_64-xen/* > /dev/null; sleep 1.1")
    return bool(guest.service()["look_at"] == looked)


@pytest.mark.parametrize("suite", LATER, ids=str)
def test_it_starts_repairs_and_starts_again(suite: Suite, deb: Path, tmp_path: Path) -> None:
    with nspawn_boot.booted(tmp_path, deb, suite=suite) as guest:
        guest.at_rest()
        before = guest.digest()
        assert guest.service()["troubles"] == []
        assert "6.0" in guest.out("dpkg-query --show python3-watchdog")
        # Another test's block devices come and go meanwhile, and each is looked at; so one quiet
        # second of many is enough.
        waiting.until(lambda: is_unmoved_by_reading(guest))
        guest.run(f"mv {SECOND_STAGE} /boot/xen/elsewhere")
        guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
        guest.run("rm -r /boot/xen")
        guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
        guest.at_rest()
        assert guest.resident_mib() < 30
        pid = guest.out(f"systemctl show -P MainPID {WATCHER}")
        guest.run(f"kill -KILL {pid}")
        guest.until(
            f"systemctl is-active {WATCHER} && test $(systemctl show -P MainPID {WATCHER}) != {pid}"
        )
        guest.run(f"rm {SECOND_STAGE}")
        guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
        guest.run(f"systemctl stop {WATCHER}")
        assert guest.out(f"systemctl show -P Result {WATCHER}") == "success"
