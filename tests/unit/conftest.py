# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that tests of the command line share."""

import subprocess
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


@pytest.fixture(scope="session")
def pvh_core(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A core image as GRUB makes it."""
    path = tmp_path_factory.mktemp("core") / "core.elf"
    subprocess.run(
        ["grub-mkimage", "-O", "i386-xen_pvh", "-o", str(path), "-p", "/boot/grub", "ext2"],
        check=True,
        capture_output=True,
    )
    return path.read_bytes()
