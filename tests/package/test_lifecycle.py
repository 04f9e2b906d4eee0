# SPDX-License-Identifier: GPL-3.0-or-later
"""The package comes and goes: whatever happens on the way, one grub-install stays, and in the
end nothing else does.
"""

import re
from pathlib import Path

import pytest

from tests.package.conftest import MakeGuest, install
from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest, Platform

WRAPPER = "/usr/sbin/grub-install"
BRIDGE = "pvhboot-i386.linux"
REAL = "/usr/sbin/grub-install.distrib"


def diversions(guest: ChrootGuest) -> list[str]:
    """The diversions of grub-install that dpkg knows."""
    return guest.run("dpkg-divert", "--list", "*grub-install*").stdout.splitlines()


def assert_diverted(guest: ChrootGuest) -> None:
    assert diversions(guest) == [f"diversion of {WRAPPER} to {REAL} by xen-guest-bootloader"]
    assert guest.read(WRAPPER).startswith(b"#!/bin/bash")
    assert guest.path(WRAPPER).is_symlink()
    assert guest.read(REAL).startswith(b"\x7fELF")
    assert_grub_install_works(guest)


def assert_not_diverted(guest: ChrootGuest) -> None:
    assert diversions(guest) == []
    assert not guest.path(WRAPPER).is_symlink()
    assert guest.read(WRAPPER).startswith(b"\x7fELF")
    assert not guest.path(REAL).exists()
    assert_grub_install_works(guest)


def assert_grub_install_works(guest: ChrootGuest) -> None:
    assert re.fullmatch(
        r"grub-install \(GRUB\) 2\.\S+\n", guest.run("grub-install", "--version").stdout
    )


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What one snapshot has and the other has not."""
    return sorted(f"{path} {what}" for path, what in before.items() ^ after.items())


@pytest.mark.parametrize("platform", [Platform.PV, Platform.NONE], ids=str)
def test_nothing_is_left_behind(
    make_guest: MakeGuest, deb: Path, newer_deb: Path, platform: Platform
) -> None:
    guest = make_guest(platform=platform)
    before, boot = guest.snapshot(), in_boot(guest)
    install(guest, deb)
    assert_diverted(guest)
    guest.shell("mkdir -p /boot/grub && update-grub")
    assert marks_kernels(guest) is (platform is Platform.PV)
    install(guest, newer_deb)
    assert_diverted(guest)
    install(guest, newer_deb)
    assert_diverted(guest)
    guest.run("dpkg", "--remove", "xen-guest-bootloader")
    assert_not_diverted(guest)
    assert not marks_kernels(guest)
    guest.run("update-grub")
    assert not marks_kernels(guest)
    guest.run("/etc/kernel/postinst.d/zz-xen-guest-bootloader", "6.1.0-0-amd64")
    install(guest, deb)
    assert_diverted(guest)
    said = guest.run("dpkg", "--purge", "xen-guest-bootloader").stderr
    for stays in guest.path("/boot/xen").glob("*"):
        assert re.search(rf"\brm .*/boot/xen/{re.escape(stays.name)}(?:\s|$)", said)
    assert_not_diverted(guest)
    assert differences(before, guest.snapshot()) == []
    assert in_boot(guest) == boot | {"grub"} | ({"xen"} if platform is Platform.PV else set())
    assert guest.run("dpkg", "--audit").stdout == ""


def in_boot(guest: ChrootGuest) -> set[str]:
    return {path.name for path in guest.path("/boot").iterdir()}


def test_the_guest_still_boots_when_the_package_is_gone(pv_guest: ChrootGuest) -> None:
    pv_guest.assert_right()
    before = pv_guest.read("/boot/xen/pvboot-x86_64.elf")
    assert starts_a_copy(pv_guest)
    pv_guest.run("dpkg", "--remove", "xen-guest-bootloader")
    pv_guest.run("update-grub")
    assert starts_a_copy(pv_guest)
    pv_guest.run("dpkg", "--purge", "xen-guest-bootloader")
    assert starts_a_copy(pv_guest)
    assert pv_guest.disk.given.cat("/boot/xen/pvboot-x86_64.elf") == before


def test_removed_it_hands_over_no_more(make_guest: MakeGuest, deb: Path) -> None:
    guest = make_guest(platform=Platform.PVH)
    install(guest, deb)
    assert hands_over(guest)
    before = second_stages(guest)
    assert BRIDGE in before
    guest.run("dpkg", "--remove", "xen-guest-bootloader")
    assert not hands_over(guest)
    guest.run("update-grub")
    assert not hands_over(guest)
    assert second_stages(guest) == before
    install(guest, deb)
    assert hands_over(guest)
    guest.assert_right()


def test_a_menu_that_can_not_be_made_anew_keeps_nobody_from_removing_it(
    pv_guest: ChrootGuest,
) -> None:
    pv_guest.write("/etc/grub.d/42_broken", "#!/bin/sh\nexit 1\n", mode=0o755)
    done = pv_guest.run("dpkg", "--remove", "xen-guest-bootloader")
    assert "still hands over" in done.stderr
    assert "run: update-grub" in done.stderr
    assert hands_over(pv_guest)
    assert_not_diverted(pv_guest)


def marks_kernels(guest: ChrootGuest) -> bool:
    """Whether a kernel's command line in grub.cfg has a word of ours."""
    menu = guest.read("/boot/grub/grub.cfg").decode()
    assert re.search(r"^\s+linux\s", menu, re.MULTILINE)
    return "xen_guest_bootloader" in menu


def starts_a_copy(guest: ChrootGuest) -> bool:
    """Whether a PV boot by grub.cfg starts the copy of a kernel that GRUB can't unpack."""
    return "linux /boot/xen/vmlinux-" in guest.read("/boot/grub/grub.cfg").decode()


def hands_over(guest: ChrootGuest) -> bool:
    """Whether grub.cfg has what lets a host's PVH GRUB start our second stage."""
    return BRIDGE in guest.read("/boot/grub/grub.cfg").decode()


def second_stages(guest: ChrootGuest) -> dict[str, bytes]:
    """What is in /boot/xen."""
    return {file.name: file.read_bytes() for file in guest.path("/boot/xen").iterdir()}


def test_a_failed_unpacking_leaves_no_diversion(
    make_guest: MakeGuest, deb: Path, tmp_path: Path
) -> None:
    """abort-install: another package owns a file of the new one."""
    guest = make_guest()
    bad = debian_package.repacked(deb, tmp_path, version="9.1", change=_takes_a_file_of_coreutils)
    guest.path("/root/bad.deb").write_bytes(bad.read_bytes())
    assert guest.run("dpkg", "--install", "/root/bad.deb", check=False).returncode != 0
    assert_not_diverted(guest)


def test_a_failed_upgrade_keeps_the_diversion(
    pv_guest: ChrootGuest, deb: Path, tmp_path: Path
) -> None:
    """abort-upgrade: as above, with a good version installed."""
    bad = debian_package.repacked(deb, tmp_path, version="9.1", change=_takes_a_file_of_coreutils)
    pv_guest.path("/root/bad.deb").write_bytes(bad.read_bytes())
    assert pv_guest.run("dpkg", "--install", "/root/bad.deb", check=False).returncode != 0
    assert_diverted(pv_guest)
    pv_guest.assert_right()


def test_grub_can_be_upgraded_under_the_diversion(pv_guest: ChrootGuest) -> None:
    pv_guest.apt("install", "--reinstall", "grub2-common")
    assert_diverted(pv_guest)


def test_an_admins_edits_survive(pv_guest: ChrootGuest, newer_deb: Path, tmp_path: Path) -> None:
    edited = 'targets = ["auto", "i386-xen"]\n'
    pv_guest.write("/etc/xen-guest-bootloader/config.toml", edited)
    changed = debian_package.repacked(
        newer_deb, tmp_path, version="9.2", change=_has_another_config
    )
    pv_guest.path("/root/changed.deb").write_bytes(changed.read_bytes())
    pv_guest.run("dpkg", "--force-confdef", "--force-confold", "--install", "/root/changed.deb")
    assert pv_guest.read("/etc/xen-guest-bootloader/config.toml").decode() == edited
    pv_guest.run("dpkg", "--remove", "xen-guest-bootloader")
    assert pv_guest.read("/etc/xen-guest-bootloader/config.toml").decode() == edited
    assert pv_guest.path("/boot/xen/pvboot-i386.elf").exists()


def _takes_a_file_of_coreutils(tree: Path) -> None:
    (tree / "usr/bin/env").write_text("")


def _has_another_config(tree: Path) -> None:
    with (tree / "etc/xen-guest-bootloader/config.toml").open("a") as file:
        file.write("# a later version has more to say\n")
