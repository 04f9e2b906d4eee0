# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of block devices that no Xen guest has at its next boot, in what a grub.cfg gives Linux."""

import re

_BUILDERS = re.compile(r"/dev/(?:mapper/)?(?:loop|nbd)\d.*")
"""A file or a network disk of the machine that builds an image, and what kpartx(8) names after
it.
"""
_UNLISTED = re.compile(r"/dev/loop(?:\d|/.*)")
"""A root device for which 10_linux lists no kernel: its file system would be in a file (grub:
util/grub.d/10_linux.in).
"""
_OF_ANOTHER_BUS = re.compile(
    r"/dev/(?:(?:[vsh]d[a-z]+|mmcblk\d+p?|nvme\d+n\d+p?)\d*"
    r"|disk/by-id/(?:ata|scsi|virtio|nvme|usb|wwn|mmc)-.*"
    r"|disk/by-path/(?:pci|virtio|acpi|platform)-.*)"
)
"""What a disk of virtio, SCSI, IDE, NVMe is called. Those of Xen are xvd* alone, however the host
names them (Linux drivers/block/xen-blkfront.c: xlvbd_alloc_gendisk).
"""


def is_of_another_bus(device: str) -> bool:
    """Whether `device` is none of Xen's disks; a PV or PVH guest has others only where the host
    gives it a PCI device.
    """
    return _OF_ANOTHER_BUS.fullmatch(device) is not None


def is_builders(device: str) -> bool:
    """Whether `device` is one of the machine that builds images, and can't be a guest's root."""
    return _BUILDERS.fullmatch(device) is not None


def hides_kernels(device: str) -> bool:
    """Whether 10_linux lists no kernel where `/` is on `device`."""
    return _UNLISTED.fullmatch(device) is not None
