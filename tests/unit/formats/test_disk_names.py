# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device names no guest has, and which of them 10_linux passes over."""

import pytest

from guest_hooks.formats import disk_names, grub_cfg

MENU = """\
	linux	/boot/vmlinuz-6.1 root=/dev/loop15 ro
	linux	/boot/vmlinuz-6.1 root=UUID=1234 ro
	linux16 /vmlinuz ro root=/dev/xvda1
	echo	'root=/dev/loop1'
"""


@pytest.mark.parametrize(
    ("device", "is_builders", "hides"),
    [
        ("/dev/loop15", True, False),
        ("/dev/loop3", True, True),
        ("/dev/loop3p1", True, False),
        ("/dev/mapper/loop3p1", True, False),
        ("/dev/nbd0p1", True, False),
        ("/dev/xvda1", False, False),
        ("/dev/mapper/looped-root", False, False),
    ],
)
def test_a_device(device: str, is_builders: bool, hides: bool) -> None:
    assert (disk_names.is_builders(device), disk_names.hides_kernels(device)) == (
        is_builders,
        hides,
    )


def test_what_entries_give_linux_as_root() -> None:
    assert grub_cfg.root_devices(MENU) == ("/dev/loop15", "/dev/xvda1")
