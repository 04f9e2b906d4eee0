# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels come and go by Debian's own packages, and grub.cfg tells of them each time, made once."""

import json
import re
from pathlib import Path

import pytest

from tests.package.conftest import MakeGuest, install
from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest, Platform

KERNEL = re.compile(r"linux-image-\d+\.[^a-z]*(?:deb[^a-z]*)?(?P<cloud>cloud-)?amd64")
HOOK = "/etc/kernel/postinst.d/zz-xen-guest-bootloader"
SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
DAMAGE = f"truncate --size=5000 {SECOND_STAGE}"


def another_kernel(guest: ChrootGuest) -> str:
    """A kernel of the release that is not installed: its package, a cloud kernel's where there is
    one (sid has one version at a time).
    """
    guest.apt("check")
    names = guest.run(
        "apt-cache", "pkgnames", "linux-image-", env={"GUEST_APT": str(guest.apt_cache)}
    ).stdout.split()
    others = [
        found
        for found in map(KERNEL.fullmatch, names)
        if found and not guest.path(f"/boot/vmlinuz-{version_of(found[0])}").exists()
    ]
    return max(others, key=_preference)[0]


def _preference(kernel: re.Match[str]) -> tuple[bool, list[int]]:
    return bool(kernel["cloud"]), [int(number) for number in re.findall(r"\d+", kernel[0])]


def version_of(package: str) -> str:
    return package.removeprefix("linux-image-")


def menu(guest: ChrootGuest) -> str:
    return guest.read("/boot/grub/grub.cfg").decode()


def times_made(words: str) -> int:
    """How often grub.cfg was made, by update-grub or by us."""
    return words.count("Generating grub configuration file") + words.count(
        "Rebuilt /boot/grub/grub.cfg"
    )


def test_a_kernel_comes_and_goes(pv_guest: ChrootGuest, tmp_path: Path) -> None:
    package = another_kernel(pv_guest)
    version = version_of(package)
    second_stage = pv_guest.read(SECOND_STAGE)

    done = pv_guest.apt("install", "--no-install-recommends", package)
    assert f"vmlinuz-{version}" in menu(pv_guest)
    assert times_made(done.stdout + done.stderr) == 1
    pv_guest.assert_right()
    if is_linked(pv_guest, version):
        comes_again(pv_guest, version)

    archive = next((pv_guest.apt_cache / "archives").glob(f"{package}_*.deb"))
    later = debian_package.repacked(archive, tmp_path, version="99")
    pv_guest.shell(DAMAGE)
    words = install(pv_guest, later)
    assert f"Rebuilt {SECOND_STAGE}" in words
    pv_guest.assert_right()

    done = pv_guest.apt("remove", package)
    assert f"vmlinuz-{version}" not in menu(pv_guest)
    assert times_made(done.stdout + done.stderr) == 1
    pv_guest.assert_right()
    assert pv_guest.read(SECOND_STAGE) == second_stage


def is_linked(guest: ChrootGuest, version: str) -> bool:
    """Whether the kernel in /boot is the file in /usr/lib/modules, as since forky."""
    return guest.path(f"/boot/vmlinuz-{version}").stat().st_nlink > 1


def comes_again(guest: ChrootGuest, version: str) -> None:
    """What damages it damages both names, and the next step brings it back."""
    kernel = f"/boot/vmlinuz-{version}"
    before = guest.read(kernel)
    with guest.path(kernel).open("r+b") as file:
        file.seek(len(before) // 2)
        file.write(bytes(4096))
    told = json.loads(guest.run("xen-guest-bootloader", "inspect", "--json", kernel).stdout)
    command = told["kernel"]["unread"]["hint"].rpartition(": ")[2].split()
    assert command[:3] == ["apt", "install", "--reinstall"]
    guest.apt(*command[1:])
    assert guest.read(kernel) == before
    guest.assert_right()


@pytest.mark.parametrize(
    ("hook", "parameters", "acts"),
    [
        pytest.param("postinst.d", "configure 6.1.170-1", True, id="configure"),
        pytest.param("postinst.d", "'configure' '6.1.170-1'", True, id="configure-in-quotes"),
        pytest.param("postinst.d", "", True, id="no-package"),
        pytest.param("postinst.d", "abort-upgrade 6.1.170-1", False, id="abort-upgrade"),
        pytest.param("postinst.d", "triggered", False, id="triggered"),
        pytest.param("postrm.d", "remove", True, id="remove"),
        pytest.param("postrm.d", "purge", False, id="purge"),
        pytest.param("postrm.d", "upgrade 6.1.170-1", False, id="upgrade"),
    ],
)
def test_it_acts_when_it_should(
    shared_guest: ChrootGuest, hook: str, parameters: str, acts: bool
) -> None:
    guest = shared_guest
    guest.shell(DAMAGE)
    script = f"/etc/kernel/{hook}/zz-xen-guest-bootloader"
    done = guest.run(
        script,
        "6.1.0-0-amd64",
        "/boot/vmlinuz",
        stdin="not yours",
        env={"DEB_MAINT_PARAMS": parameters},
    )
    assert done.stdout == ""
    assert (
        done.stderr.startswith(f"xen-guest-bootloader: Rebuilt {SECOND_STAGE}: ")
        if acts
        else done.stderr == ""
    )
    assert all(row["state"] == "current" for row in guest.status()["targets"]) is acts


@pytest.mark.parametrize("boot", [pytest.param("ext4", id="ext4"), pytest.param("xfs", id="xfs")])
def test_grub_reads_the_menu_that_update_grub_made(
    make_guest: MakeGuest, deb: Path, boot: str
) -> None:
    """GRUB replays no journal, and update-grub waits for no disk."""
    guest = make_guest(boot=boot)
    install(guest, deb)
    guest.write("/etc/default/grub.d/timeout.cfg", "GRUB_TIMEOUT=4711\n")
    guest.shell(f"update-grub; {HOOK} 6.1.0-0-amd64")
    assert "set timeout=4711\n" in menu(guest)
    guest.assert_right()


@pytest.mark.parametrize("platform", [Platform.NONE, Platform.HVM, Platform.DOM0], ids=str)
def test_it_is_silent_where_nothing_is_to_do(
    make_guest: MakeGuest, deb: Path, platform: Platform
) -> None:
    guest = make_guest(platform=platform)
    install(guest, deb)
    assert_silent(guest)


@pytest.mark.parametrize("mark", ["/run/.containerenv", "/.dockerenv"])
def test_it_is_silent_in_a_container(make_guest: MakeGuest, deb: Path, mark: str) -> None:
    guest = make_guest()
    guest.write(mark, "")
    install(guest, deb)
    assert_silent(guest)


def test_it_is_silent_in_a_chroot(make_guest: MakeGuest, deb: Path) -> None:
    """An image is built in a chroot of a Xen guest: /sys tells of that guest."""
    guest = make_guest()
    guest.environment["GUEST_CHROOT"] = "yes"
    install(guest, deb)
    assert_silent(guest)


def test_a_named_target_is_kept_even_there(make_guest: MakeGuest, deb: Path) -> None:
    guest = make_guest(platform=Platform.NONE)
    guest.environment["GUEST_CHROOT"] = "yes"
    guest.write("/etc/xen-guest-bootloader/conf.d/image.toml", 'targets = ["x86_64-xen"]\n')
    install(guest, deb)
    assert guest.states() == {"x86_64-xen": "current", "grub.cfg": "current"}


def assert_silent(guest: ChrootGuest) -> None:
    done = guest.run(HOOK, "6.1.0-0-amd64", "/boot/vmlinuz", env={"DEB_MAINT_PARAMS": "configure"})
    assert (done.stdout, done.stderr) == ("", "")
    assert not guest.path("/boot/xen").exists()
    assert not guest.path("/var/lib/xen-guest-bootloader").exists()


def test_a_kernel_fails_where_the_guest_would_not_boot(pv_guest: ChrootGuest) -> None:
    gone = "00000000-0000-4000-8000-000000000000"
    pv_guest.shell(f"sed -i s/{pv_guest.disk.boot.uuid}/{gone}/g {SECOND_STAGE}")
    pv_guest.shell("mv /usr/lib/grub/x86_64-xen /root/")
    done = pv_guest.run(HOOK, "6.1.0-0-amd64", check=False)
    assert done.returncode == 1
    assert "apt install grub-xen-bin" in done.stderr
    assert "this guest would not boot: " in done.stderr
    assert pv_guest.run(HOOK.replace("postinst.d", "postrm.d"), "6.1.0-0-amd64").returncode == 0


def test_a_kernel_does_not_fail_where_the_guest_boots_all_the_same(pv_guest: ChrootGuest) -> None:
    pv_guest.shell(f"rm {SECOND_STAGE}; mv /usr/lib/grub/x86_64-xen /root/")
    done = pv_guest.run(HOOK, "6.1.0-0-amd64")
    assert "apt install grub-xen-bin" in done.stderr
    assert "still there; next boot: will boot, but not as it should" in done.stderr
