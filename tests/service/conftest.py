# SPDX-License-Identifier: GPL-3.0-or-later
"""One booted guest for all tests; each begins with a second stage that is right and a watcher
at rest.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import nspawn_boot
from tests.support.nspawn_guest import Guest


@pytest.fixture(scope="session")
def booted(
    _machine_stays_as_it_was: None, deb: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    """The guest, whatever state the last test left it in; it ends before anybody looks at what
    is left.
    """
    with nspawn_boot.booted(tmp_path_factory.mktemp("guest"), deb) as guest:
        guest.run("echo '/dev/xvdb /boot ext4 defaults 0 2' > /etc/fstab")
        yield guest


@pytest.fixture
def guest(booted: Guest) -> Guest:
    """The guest as it should be: nothing to repair, nothing going on, no failure remembered."""
    booted.run("mountpoint -q /boot || mount /dev/xvdb /boot")
    booted.run(
        "rm -f /etc/xen-guest-bootloader/conf.d/wrong.toml; systemctl reset-failed; systemctl"
        " restart xen-guest-bootloader"
    )
    booted.run("xen-guest-bootloader sync --quiet --force --adopt")
    booted.run("systemctl reload xen-guest-bootloader")
    booted.at_rest()
    return booted
