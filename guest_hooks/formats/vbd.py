# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen's virtual block devices: the number that stands for a disk's name in xenstore, and pv-grub's
name for it.

Sources: Xen docs/man/xen-vbd-interface.7.pandoc; stubdom/grub/mini-os.c (init_disk), which numbers
disks by these numbers in ascending order.
"""

import re
from collections.abc import Iterable

from guest_hooks.records import dataclass

_NAME = re.compile(r"(?:/dev/)?xvd(?P<letters>[a-z]+)(?P<partition>\d*)")
_SHORT_DISKS = _SHORT_PARTITIONS = 16
"""From here on a number has the longer form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vbd:
    """A disk's name in a guest: `disk` counts from 0, `partition` from 1 (0: the whole disk)."""

    disk: int
    partition: int

    @property
    def number(self) -> int:
        """What xenstore calls it."""
        if self.disk < _SHORT_DISKS and self.partition < _SHORT_PARTITIONS:
            return 202 << 8 | self.disk << 4 | self.partition
        return 1 << 28 | self.disk << 8 | self.partition


def parse(name: str) -> Vbd | None:
    """The disk that `xvda`, `/dev/xvdb3` name; None for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    disk = 0
    for letter in found["letters"]:
        disk = disk * 26 + ord(letter) - ord("a") + 1
    return Vbd(disk=disk - 1, partition=int(found["partition"] or 0))


def legacy_drive(device: str, disks: Iterable[str]) -> str:
    """What pv-grub calls `device`, `(hd1)` or `(hd0,0)`, where the host gives the guest `disks`.

    A partition's disk is one of them, or `device` itself is: a host can give a guest xvda1 without
    an xvda. Empty where it is on none of them, or one of them is no xvd.
    """
    found = parse(device)
    numbers = [vbd.number if (vbd := parse(disk)) else None for disk in disks]
    if found is None or None in numbers:
        return ""
    order = sorted({number for number in numbers if number is not None})
    if found.number in order:
        return f"(hd{order.index(found.number)})"
    whole = Vbd(disk=found.disk, partition=0).number
    return f"(hd{order.index(whole)},{found.partition - 1})" if whole in order else ""
