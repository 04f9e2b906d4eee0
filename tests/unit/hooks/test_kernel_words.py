# SPDX-License-Identifier: GPL-3.0-or-later
"""The word that /etc/default/grub.d adds to each kernel's command line: only where the package
has something to do.
"""

import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.chroot_guest import Platform, hypervisor_files

WORD = "xen_guest_bootloader.via=$grub_platform:$prefix"
LIBRARY = "/usr/lib/xen-guest-bootloader"
PROGRAM = "/usr/bin/xen-guest-bootloader"
CONFIG = "/etc/xen-guest-bootloader"
PLACES = (PROGRAM, LIBRARY, CONFIG, "/sys/hypervisor", "/sys/firmware/efi", "/proc/1/root")
SOURCED = 'set -e; GRUB_CMDLINE_LINUX=quiet; . "$1"; printf %s "$GRUB_CMDLINE_LINUX"'
"""As grub-mkconfig reads it: `set -e`, and what it prints would reach nobody."""


def place(top: Path, source: str, name: str) -> Path:
    text = (CHECKOUT / source).read_text()
    for path in PLACES:
        text = text.replace(path, f"{top}{path}")
    return write(top / name.lstrip("/"), text)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    """Installed on a machine of no Xen."""
    applies = place(tmp_path, "scripts/applies", f"{LIBRARY}/applies")
    # The machine of the tests may be a container or a chroot.
    with applies.open("a") as file:
        file.write("is_container() { return 1; }\nis_chroot() { return 1; }\n")
    write(tmp_path / PROGRAM.lstrip("/"), "").chmod(0o755)
    return place(tmp_path, "config/default-grub.d/xen-guest-bootloader.cfg", "/snippet.cfg")


def is_on(tmp_path: Path, platform: Platform) -> None:
    for name, text in hypervisor_files(platform).items():
        write(tmp_path / "sys/hypervisor" / name, text)


def words(snippet: Path, **environment: str) -> str:
    """GRUB_CMDLINE_LINUX after the snippet was read."""
    done = subprocess.run(
        ["/bin/sh", "-c", SOURCED, "sh", str(snippet)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("platform", [Platform.PV, Platform.PVH], ids=str)
def test_a_guest_s_kernels_get_it(tmp_path: Path, snippet: Path, platform: Platform) -> None:
    is_on(tmp_path, platform)
    assert words(snippet) == f"quiet {WORD}"


@pytest.mark.parametrize("platform", [Platform.NONE, Platform.HVM, Platform.DOM0], ids=str)
def test_others_do_not(tmp_path: Path, snippet: Path, platform: Platform) -> None:
    is_on(tmp_path, platform)
    assert words(snippet) == "quiet"


def test_a_pvh_guest_with_efi_firmware_does_not(tmp_path: Path, snippet: Path) -> None:
    is_on(tmp_path, Platform.PVH)
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    assert words(snippet) == "quiet"


def test_a_hidden_feature_word_keeps_no_guest_from_it(tmp_path: Path, snippet: Path) -> None:
    """The hypervisor answers so where its policy forbids the question."""
    is_on(tmp_path, Platform.PV)
    write(tmp_path / "sys/hypervisor/properties/features", "<denied>\n")
    assert words(snippet) == f"quiet {WORD}"


def test_a_named_target_is_for_any_machine(tmp_path: Path, snippet: Path) -> None:
    write(tmp_path / f"{CONFIG.lstrip('/')}/config.toml", 'targets = ["x86_64-xen"]\n')
    assert words(snippet) == f"quiet {WORD}"


def test_the_program_s_own_run_of_grub_mkconfig_is_for_a_guest(snippet: Path) -> None:
    assert words(snippet, XEN_GUEST_BOOTLOADER="1") == f"quiet {WORD}"


@pytest.mark.parametrize("lost", [PROGRAM, f"{LIBRARY}/applies"])
def test_a_removed_package_leaves_nothing(tmp_path: Path, snippet: Path, lost: str) -> None:
    is_on(tmp_path, Platform.PV)
    (tmp_path / lost.lstrip("/")).unlink()
    assert words(snippet) == "quiet"
