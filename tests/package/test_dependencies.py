# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package depends on is enough: in a Debian with the essential packages and no others,
without systemd, too. It is installed, a kernel comes and goes, all three targets are made.
"""

from pathlib import Path

import pytest

from tests.package.conftest import install
from tests.support import kernels
from tests.support.chroot_guest import ChrootGuest, guest
from tests.support.debian_tree import RELEASES, SUITES, Kind, Suite

RELEASE = "6.1.0-99-amd64"
ASKED_FOR = set(SUITES) - {Suite.BOOKWORM, Suite.SID} if SUITES != RELEASES else ()
"""By hand, with another list of suites than that of `make test`."""
TARGETS = ("x86_64-xen", "i386-xen", "i386-xen_pvh")


@pytest.mark.parametrize(
    ("suite", "architecture"),
    [
        pytest.param(Suite.BOOKWORM, "", id="bookworm"),
        pytest.param(Suite.SID, "", id="sid"),
        *(pytest.param(suite, "", id=suite) for suite in ASKED_FOR),
        # With this machine's kernel: a 32-bit Debian whose kernel is amd64's.
        pytest.param(Suite.BOOKWORM, "i386", id="bookworm-i386"),
    ],
)
def test_what_it_depends_on_is_enough(
    suite: Suite, architecture: str, deb: Path, tmp_path: Path
) -> None:
    with guest(suite, Kind.LEAST, tmp_path / "guest", architecture=architecture) as made:
        assert made.run("which", "systemctl", check=False).returncode == 1
        # There is no kernel, so the guest would not boot, and each run says so.
        words = install(made, deb)
        made.run("grub-install")
        words += comes_and_goes(made)
        made.run("xen-guest-bootloader", "preflight", check=False)
        assert ": not found" not in words
        assert made.states() == {"x86_64-xen": "current", "grub.cfg": "current"}
        made.run("xen-guest-bootloader", "sync", *(f"--target={name}" for name in TARGETS))

        program = made.path(made.run("which", "mount").stdout.strip())
        program.rename(program.with_name("mount.away"))
        done = made.run("xen-guest-bootloader", "sync", "--force", check=False)
        assert done.returncode == 7
        assert "mount is not installed" in done.stderr
        assert "apt install mount" in done.stderr
        assert "No error reported" in made.run("grub-install").stderr


def comes_and_goes(made: ChrootGuest) -> str:
    """A kernel that GRUB can't unpack for PV is installed, and removed; what the hooks said."""
    kernel, copy = f"/boot/vmlinuz-{RELEASE}", f"/boot/xen/vmlinux-{RELEASE}.gz"
    files = {
        kernel: kernels.bzimage(compression="zstd", release=RELEASE),
        f"/boot/initrd.img-{RELEASE}": kernels.initrd(RELEASE),
    }
    for path, data in files.items():
        made.path(path).write_bytes(data)
    words = hooks(made, "postinst", "configure")
    assert f"then linux {copy} " in made.read("/boot/grub/grub.cfg").decode()
    assert kernels.pv_fault(made.read(copy)) == ""
    for path in files:
        made.path(path).unlink()
    words += hooks(made, "postrm", "remove")
    assert RELEASE not in made.read("/boot/grub/grub.cfg").decode()
    assert not made.path(copy).exists()
    return words


def hooks(made: ChrootGuest, script: str, mode: str) -> str:
    """What all hooks of a kernel say, run as its package's `script` runs them."""
    arguments = (f"--arg={RELEASE}", f"--arg=/boot/vmlinuz-{RELEASE}")
    done = made.run(
        *("run-parts", "--report", "--exit-on-error", *arguments, f"/etc/kernel/{script}.d"),
        env={"DEB_MAINT_PARAMS": mode},
    )
    return done.stdout + done.stderr
