# SPDX-License-Identifier: GPL-3.0-or-later
"""The package beside each boot loader package that a guest may have."""

from pathlib import Path

import pytest

from tests.package.conftest import MakeGuest, install
from tests.package.test_lifecycle import assert_diverted, assert_not_diverted
from tests.support.chroot_guest import ChrootGuest, Platform

PRESEED = {
    "grub-pc": (
        "grub-pc grub-pc/install_devices_empty boolean true\ngrub-pc grub-pc/install_devices"
        " multiselect\n"
    ),
    "grub-efi-amd64": "",
    "grub-xen": "",
}
INSTALLED = "install ok installed"


def installed(guest: ChrootGuest, package: str) -> str:
    return guest.run(
        "dpkg-query", "--show", "--showformat", "${Status}", package, check=False
    ).stdout


@pytest.mark.parametrize("package", PRESEED)
def test_it_lives_beside(pv_guest: ChrootGuest, package: str) -> None:
    pv_guest.run("debconf-set-selections", stdin=PRESEED[package])
    pv_guest.apt("install", "--no-install-recommends", package)
    assert installed(pv_guest, package) == INSTALLED
    assert installed(pv_guest, "xen-guest-bootloader") == INSTALLED
    assert_diverted(pv_guest)
    pv_guest.assert_right()

    pv_guest.run("dpkg-reconfigure", "--frontend=noninteractive", package)
    pv_guest.assert_right()

    pv_guest.run("dpkg", "--purge", "xen-guest-bootloader")
    assert installed(pv_guest, package) == INSTALLED
    assert_not_diverted(pv_guest)


def test_grub_xen_installs_through_the_wrapper(make_guest: MakeGuest, deb: Path) -> None:
    """Its postinst runs grub-install for PV and for PVH; the one that the guest does not boot
    by is made, too, as it asks.
    """
    guest = make_guest(platform=Platform.PV)
    install(guest, deb)
    guest.shell("rm -r /boot/xen")
    done = guest.apt("install", "--no-install-recommends", "grub-xen")
    words = done.stdout + done.stderr
    assert "Installing for x86_64-xen platform." in words
    assert "Installing for i386-xen_pvh platform." in words
    guest.assert_right()
    assert guest.path("/boot/xen/pvhboot-i386.elf").exists()
