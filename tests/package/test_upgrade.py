# SPDX-License-Identifier: GPL-3.0-or-later
"""From the version before to this one and back, with whatever an admin changed."""

from pathlib import Path

from tests.package.conftest import MakeGuest, install
from tests.package.test_lifecycle import assert_diverted, marks_kernels
from tests.support import older_package
from tests.support.chroot_guest import Platform

CONFIG = "/etc/xen-guest-bootloader/config.toml"
SNIPPET = "/etc/default/grub.d/xen-guest-bootloader.cfg"
SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"


def test_up_and_down_and_up(make_guest: MakeGuest, deb: Path, tmp_path: Path) -> None:
    guest = make_guest(platform=Platform.PV)
    older = older_package.build(deb, tmp_path)
    install(guest, older)
    before = guest.read(SECOND_STAGE)
    edited = guest.read(CONFIG).decode() + 'targets = ["auto", "i386-xen_pvh"]\n'
    guest.write(CONFIG, edited)

    for package in (deb, older, deb):
        words = install(guest, package, "--force-confdef", "--force-confold")
        assert "not right" not in words
        assert_diverted(guest)
        guest.assert_right()
        assert guest.read(CONFIG).decode() == edited
        assert guest.read(SECOND_STAGE) == before
        assert marks_kernels(guest)
        assert guest.run("dpkg", "--audit").stdout == ""
    assert guest.states().keys() == {"x86_64-xen", "i386-xen_pvh", "grub.cfg"}


def test_off_xen_the_word_of_the_version_before_goes(
    make_guest: MakeGuest, deb: Path, tmp_path: Path
) -> None:
    guest = make_guest(platform=Platform.NONE)
    install(guest, older_package.build(deb, tmp_path))
    guest.shell("mkdir -p /boot/grub && update-grub")
    assert marks_kernels(guest)
    install(guest, deb)
    assert not marks_kernels(guest)
