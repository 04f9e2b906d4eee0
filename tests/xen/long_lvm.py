# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest on a logical volume: its own sync, run in it, makes second stages that find it there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images, loops, lvm, xen_guest, xen_lab
from tests.support.debian_tree import Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import STATUS, When, XenGuest, answer
from tests.xen.test_boots import SECOND_STAGES, boots_by_second_stage

SYNC = "findmnt -n -o SOURCE /; xen-guest-bootloader sync\n"


@pytest.fixture
def made(deb: Path, tmp_path: Path) -> Iterator[tuple[XenGuest, str]]:
    """A guest as it came to a volume from another layout, without a second stage; and the
    volume's name for GRUB.
    """
    with xen_guest.made(tmp_path, Suite.BOOKWORM, deb, packages=("lvm2",)) as guest:
        (plain,) = guest.disks
        with loops.attached(plain) as device:
            uuid = images.tool("blkid", "-p", "-s", "UUID", "-o", "value", device)
            filesystem = images.Filesystem(
                image=plain, fs_type="ext4", device=device, uuid=uuid, drive=""
            )
            (tmp_path / "top").mkdir()
            with images.mounted(filesystem, tmp_path / "top") as top:
                for second_stage in (top / "boot/xen").iterdir():
                    second_stage.unlink()
        image = tmp_path / "lvm.img"
        drive = lvm.wrap(plain, image)
        yield XenGuest(suite=guest.suite, disks=(image,), work=tmp_path), drive
        image.unlink()


def test_it_boots_by_the_second_stages_it_made_itself(
    dom0: Dom0, made: tuple[XenGuest, str]
) -> None:
    guest, drive = made
    consoles = xen_lab.boot(
        [
            guest.run("syncing", "pvh", dom0, SYNC, when=When.BARE),
            guest.run("pvh", "pvh", dom0, STATUS),
            guest.run("pv", "pv", dom0, "", until=("Loading initial ramdisk",)),
        ]
    )
    consoles["syncing"].expect(
        "Welcome to GRUB!",
        lvm.MAPPED,
        *(f"Rebuilt {path}" for path in sorted(SECOND_STAGES.values())),
    )
    consoles["syncing"].never("Chainloading")
    boots_by_second_stage(consoles["pvh"], "pvh", prefix=f"{drive}/boot/grub")
    consoles["pv"].expect(
        "Welcome to GRUB!",
        f"Chainloading .*{SECOND_STAGES['pv']}",
        "Welcome to GRUB!",
        "Loading initial ramdisk",
    )
    found = answer(consoles["pvh"])
    assert found["next_boot"]["findings"] == []
