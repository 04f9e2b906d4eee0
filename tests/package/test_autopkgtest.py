# SPDX-License-Identifier: GPL-3.0-or-later
"""debian/tests, run in a guest by the real autopkgtest against the installed package."""

from pathlib import Path

from tests.package.conftest import MakeGuest
from tests.support import debian_package
from tests.support.checkout import CHECKOUT
from tests.support.chroot_guest import Platform


def test_debian_tests(make_guest: MakeGuest, deb: Path) -> None:
    guest = make_guest(platform=Platform.NONE)
    guest.apt("install", "--no-install-recommends", "autopkgtest", "jq")
    source = guest.path("/root/source")
    source.mkdir()
    debian_package.host("cp", "-r", str(CHECKOUT / "debian"), str(source))
    guest.path(f"/root/{deb.name}").write_bytes(deb.read_bytes())
    guest.run(
        "apt-get", "install", "-y", f"/root/{deb.name}", env={"GUEST_APT": str(guest.apt_cache)}
    )
    # The guest is a machine of its own, and thrown away: autopkgtest can not know.
    ignored = "--ignore-restrictions=isolation-machine,breaks-testbed"
    command = ["autopkgtest", ignored, "--no-built-binaries", "/root/source", "--", "null"]
    done = guest.run(*command, check=False, env={"GUEST_APT": str(guest.apt_cache)})
    words = done.stdout + done.stderr
    assert done.returncode == 0, words[-6000:]
    assert "off-xen              PASS" in words
    assert "sync                 PASS" in words
