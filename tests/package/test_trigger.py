# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB is downgraded and upgraded by its own packages, and the second stage follows, once a
dpkg run.
"""

from pathlib import Path

from tests.package.conftest import install
from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Suite

SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
GRUB = ("grub-xen-bin", "grub2-common", "grub-common")


def installed(guest: ChrootGuest, package: str) -> str:
    return guest.run("dpkg-query", "--show", "--showformat", "${Version}", package).stdout


def older_version(guest: ChrootGuest, package: str) -> str:
    """The version before the newest that the release and its updates have; empty where there is
    one only.
    """
    guest.apt("check")
    lines = guest.run(
        "apt-cache", "madison", package, env={"GUEST_APT": str(guest.apt_cache)}
    ).stdout.splitlines()
    versions = list(dict.fromkeys(line.split("|")[1].strip() for line in lines))
    return versions[1] if len(versions) > 1 else ""


def grub_version(guest: ChrootGuest) -> str:
    version: str = guest.status()["targets"][0]["grub_version"]
    return version


def test_grub_goes_down_and_up_again(pv_guest: ChrootGuest) -> None:
    """By apt, with every version that the release has; trixie may have one only, which is then
    installed once more.
    """
    newest = installed(pv_guest, "grub-xen-bin")
    older = older_version(pv_guest, "grub-xen-bin") or newest
    assert (pv_guest.suite is not Suite.BOOKWORM) or older != newest
    for version in (older, newest):
        done = pv_guest.apt(
            "install",
            "--reinstall",
            "--no-install-recommends",
            *(f"{name}={version}" for name in GRUB),
        )
        assert (done.stdout + done.stderr).count(
            "Processing triggers for xen-guest-bootloader"
        ) == 1
        assert installed(pv_guest, "grub-xen-bin") == version
        assert grub_version(pv_guest) == version
        pv_guest.assert_right()


def test_grubs_modules_alone_are_enough(pv_guest: ChrootGuest, tmp_path: Path) -> None:
    """grub-xen-bin has no maintainer scripts: nothing but the trigger can notice it."""
    pv_guest.apt("install", "--download-only", "--reinstall", "grub-xen-bin")
    archive = max((pv_guest.apt_cache / "archives").glob("grub-xen-bin_*.deb"))
    version = f"{installed(pv_guest, 'grub-xen-bin')}+later"
    later = debian_package.repacked(archive, tmp_path, version=version, change=_with_other_modules)
    before = pv_guest.read(SECOND_STAGE)
    words = install(pv_guest, later)
    assert words.count("Processing triggers for xen-guest-bootloader") == 1
    assert f"Rebuilt {SECOND_STAGE}" in words
    assert pv_guest.read(SECOND_STAGE) != before
    pv_guest.assert_right()


def _with_other_modules(tree: Path) -> None:
    """Another word in a module that every second stage holds."""
    module = tree / "usr/lib/grub/x86_64-xen/echo.mod"
    data = module.read_bytes()
    assert data.count(b"Display a line of text.") == 1
    module.write_bytes(data.replace(b"Display a line of text.", b"Display a line of TEXT."))
