# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel whose installation did not finish: neither watcher nor timer turns the guest into
one that does not boot.
"""

from pathlib import Path

from tests.package.conftest import MakeGuest, install
from tests.support import dpkg_database, kernel_package
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.outside_guest import Outcome

REPAIR = ("sync", "--quiet", "--automatic")
"""What the service and the timer run."""


def program(guest: ChrootGuest, *words: str) -> Outcome:
    done = guest.run("xen-guest-bootloader", *words, check=False)
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def will_boot(guest: ChrootGuest) -> bool:
    found: bool = program(guest, "preflight", "--json").json["will_boot"]
    return found


def test_a_kernel_that_is_only_unpacked_stays_out_of_the_menu(
    make_guest: MakeGuest, deb: Path, tmp_path: Path
) -> None:
    guest = make_guest(platform=Platform.PVH)
    install(guest, deb)
    release = kernel_package.newer_release(guest)
    kernel = kernel_package.build(guest, tmp_path)
    guest.path("/root/kernel.deb").write_bytes(kernel.read_bytes())
    before = guest.read("/boot/grub/grub.cfg")
    assert will_boot(guest)

    guest.run("dpkg", "--unpack", "/root/kernel.deb")
    dpkg_database.age(guest.directory)
    repaired = program(guest, *REPAIR)
    assert will_boot(guest), repaired
    assert guest.read("/boot/grub/grub.cfg") == before
    assert (repaired.code, repaired.stdout) == (0, "")
    assert [problem["code"] for problem in guest.status()["grub_cfg"]["problems"]] == [
        "kernel-incomplete"
    ]

    guest.run("dpkg", "--configure", "-a")
    assert f"vmlinuz-{release}" in guest.read("/boot/grub/grub.cfg").decode()
    assert will_boot(guest)
    assert guest.status()["grub_cfg"] == {
        "path": "/boot/grub/grub.cfg",
        "state": "current",
        "problems": [],
    }
