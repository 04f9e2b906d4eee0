# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight says to do about what stage 1 takes from a mounted disk, and about what it
does not come to.
"""

import pytest

from guest_hooks.model import BootFilesystem, Place
from guest_hooks.preflight.links import stage1
from guest_hooks.volumes import BlockDevice


@pytest.mark.parametrize(
    ("fs_type", "command"),
    [
        pytest.param(
            "ext4",
            "mount /dev/xvdb /mnt && rm /mnt/boot/xen/pvboot-x86_64.elf && umount /mnt",
            id="any",
        ),
        pytest.param(
            "btrfs",
            "mount -o subvolid=5 /dev/xvdb /mnt && rm /mnt/boot/xen/pvboot-x86_64.elf && umount"
            " /mnt",
            id="top",
        ),
    ],
)
def test_a_file_on_a_mounted_disk_is_removed_from_the_top_of_its_file_system(
    fs_type: str, command: str
) -> None:
    device = BlockDevice(path="/dev/xvdb", type="disk", fs_type=fs_type, mountpoints=("/srv",))
    assert stage1.removal(device, "/boot/xen/pvboot-x86_64.elf") == command


def boot(fs_type: str, grub: str, xen: str, xen_device: str = "/dev/xvda") -> BootFilesystem:
    return BootFilesystem(
        mountpoint="/",
        device="/dev/xvda",
        fs_type=fs_type,
        fs_uuid="u",
        grub_dir=grub,
        boot_dir="/boot",
        xen=Place(device=xen_device, fs_type=fs_type, fs_uuid="u", path=xen),
    )


@pytest.mark.parametrize(
    ("given", "is_usual", "remedy"),
    [
        pytest.param(boot("ext4", "/boot/grub", "/boot/xen"), True, stage1.MAKE, id="usual"),
        pytest.param(boot("ext4", "/grub", "/xen"), True, stage1.MAKE, id="own-boot"),
        pytest.param(boot("ext4", "/boot/grub", "/xen"), False, stage1.MAKE, id="both"),
        pytest.param(
            boot("ext4", "/boot/grub", "/boot/xen", "/dev/xvdb"),
            False,
            stage1.MAKE,
            id="xen-on-another-disk",
        ),
        pytest.param(
            boot("btrfs", "/@rootfs/boot/grub", "/@rootfs/boot/xen"),
            False,
            "mount -o subvolid=5 /dev/xvda /mnt && ln -sT @rootfs/boot/xen /mnt/xen && ln -sT"
            " @rootfs/boot/grub /mnt/grub && sync && umount /mnt",
            id="subvolume",
        ),
        pytest.param(
            boot("xfs", "/boot/grub", "/srv/xen"),
            False,
            "mount /dev/xvda /mnt && ln -sT srv/xen /mnt/xen && fsfreeze -f /mnt && fsfreeze -u"
            " /mnt && umount /mnt",
            id="xen-behind-a-link",
        ),
    ],
)
def test_where_stage_1_comes_to(given: BootFilesystem, is_usual: bool, remedy: str) -> None:
    assert stage1.is_usual(given) == is_usual
    assert stage1.remedy(given) == remedy
