# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on other layouts of disk, as PV and as PVH: stage 1 finds the second stage, and Linux
its root.
"""

import re
from pathlib import Path

import pytest

from tests.support import xen_guest, xen_lab
from tests.support.debian_tree import Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE
from tests.xen.test_boots import SECOND_STAGES, came_by_second_stage


@pytest.mark.parametrize(
    ("fs_type", "table", "boot", "prefix"),
    [
        pytest.param("ext4", "mbr", "", "(xen/xvda,msdos1)/boot/grub", id="mbr-ext4"),
        pytest.param("xfs", "gpt", "ext4", "(xen/xvda,gpt1)/grub", id="gpt-own-boot-xfs"),
        pytest.param("btrfs", "gpt", "", "(xen/xvda,gpt1)/boot/grub", id="gpt-btrfs"),
        pytest.param("xfs", "", "", "(xen/xvda)/boot/grub", id="whole-disk-xfs"),
    ],
)
def test_bookworm_boots(  # noqa: PLR0917
    dom0: Dom0, deb: Path, tmp_path: Path, fs_type: str, table: str, boot: str, prefix: str
) -> None:
    """As PVH up to a mounted root; as PV until the second stage has read and unpacked the
    kernel, for the rest is the same.
    """
    with xen_guest.made(
        tmp_path, Suite.BOOKWORM, deb, fs_type=fs_type, table=table, boot=boot
    ) as guest:
        consoles = xen_lab.boot(
            [
                guest.run("pv", "pv", dom0, "", until=("Loading initial ramdisk",), linger=0),
                guest.run("pvh", "pvh", dom0, "", until=(CMDLINE,)),
            ]
        )
    second_stage = SECOND_STAGES["pv"].removeprefix("/boot")
    handover = f"Chainloading {re.escape(prefix.partition(')')[0])}\\).*{re.escape(second_stage)}"
    consoles["pv"].expect(
        "Welcome to GRUB!", handover, "Welcome to GRUB!", "Loading Linux", "Loading initial ramdisk"
    )
    came_by_second_stage(consoles["pvh"], "pvh", prefix=prefix)


def test_trixie_boots_as_pvh_from_an_own_boot(dom0: Dom0, deb: Path, tmp_path: Path) -> None:
    with xen_guest.made(
        tmp_path, Suite.TRIXIE, deb, fs_type="btrfs", table="mbr", boot="ext4"
    ) as guest:
        consoles = xen_lab.boot([guest.run("pvh", "pvh", dom0, "", until=(CMDLINE,))])
    came_by_second_stage(consoles["pvh"], "pvh", prefix="(xen/xvda,msdos1)/grub")
