# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that tests of the command line share."""

from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The skeleton of a guest's tree in a plain directory."""
    top = tmp_path / "guest"
    for name in (
        "boot/xen",
        "boot/grub",
        "dev",
        "proc",
        "sys/hypervisor",
        "etc/xen-guest-bootloader/conf.d",
        "var/lib",
    ):
        (top / name).mkdir(parents=True)
    (top / "sys/hypervisor/type").write_text("xen\n")
    (top / "sys/hypervisor/guest_type").write_text("PV\n")
    return top
