# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrapper around grub-install: a person's own arguments, output and exit code survive, and
a Xen guest's target is found.
"""

import re
import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import second_stage
from guest_hooks.formats.grub_core import Core
from guest_hooks.hooks.grub_options import OPTIONS
from tests.package.conftest import MakeGuest, install
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.unit.hooks.test_grub_options import in_help

REAL = "exec -a grub-install /usr/sbin/grub-install.distrib"


def executed(guest: ChrootGuest, *command: str, log: Path) -> list[str]:
    """The programs that `command` came to be in the guest, one after another and by whichever
    of its processes.
    """
    tracer = [
        "strace",
        "--follow-forks",
        "--seccomp-bpf",
        "--quiet=all",
        "--trace=execve",
        "--successful-only",
        f"--output={log}",
    ]
    subprocess.run(
        [*tracer, *guest.command(*command)], check=False, capture_output=True, timeout=300
    )
    programs = re.findall(r'execve\("([^"]+)"', log.read_text())
    return (
        programs[programs.index("/usr/bin/env") + 1 :] if "/usr/bin/env" in programs else programs
    )


@pytest.mark.parametrize(
    ("platform", "arguments"),
    [
        pytest.param(Platform.PV, "--version", id="version"),
        pytest.param(Platform.PV, "--help", id="help"),
        pytest.param(Platform.PV, "--usage", id="usage"),
        pytest.param(Platform.PV, "--target=i386-pc /dev/null", id="bios"),
        pytest.param(Platform.PV, "--target x86_64-efi", id="efi-in-two-words"),
        pytest.param(
            Platform.PV, "--target=x86_64-xen --targ=x86_64-efi", id="the-last-one-counts"
        ),
        pytest.param(Platform.PV, "--target=no-such", id="no-such-target"),
        pytest.param(Platform.NONE, "", id="off-xen"),
        pytest.param(Platform.HVM, "/dev/null", id="hvm"),
        pytest.param(Platform.DOM0, "", id="dom0"),
        pytest.param(Platform.PV, "--target=x86_64-xen --no-such-option", id="unknown-option"),
    ],
)
def test_output_and_exit_code_survive(
    shared_guest: ChrootGuest, platform: Platform, arguments: str
) -> None:
    guest = shared_guest
    guest.platform = platform
    expected = guest.run("bash", "-c", f"{REAL} {arguments}", check=False)
    found = guest.run("bash", "-c", f"grub-install {arguments}", check=False)
    assert (found.returncode, found.stdout, found.stderr) == (
        expected.returncode,
        expected.stdout,
        expected.stderr,
    )


@pytest.mark.parametrize(
    ("platform", "arguments"),
    [
        pytest.param(Platform.PV, ["--target=i386-pc", "/dev/null"], id="bios"),
        pytest.param(Platform.PV, ["--version"], id="version"),
        pytest.param(Platform.NONE, [], id="off-xen"),
        pytest.param(Platform.HVM, [], id="hvm"),
    ],
)
def test_what_is_not_ours_costs_one_shell(
    shared_guest: ChrootGuest, tmp_path: Path, platform: Platform, arguments: list[str]
) -> None:
    guest = shared_guest
    guest.platform = platform
    programs = executed(guest, "/usr/sbin/grub-install", *arguments, log=tmp_path / "strace.log")
    before = programs[: programs.index("/usr/sbin/grub-install.distrib")]
    assert set(before) <= {"/usr/sbin/grub-install", "/usr/bin/grep", "/bin/grep"}


def test_the_two_never_call_each_other(shared_guest: ChrootGuest, tmp_path: Path) -> None:
    guest = shared_guest
    guest.platform = Platform.PV
    programs = executed(
        guest, "/usr/sbin/grub-install", "--target=x86_64-xen", log=tmp_path / "strace.log"
    )
    assert programs.count("/usr/sbin/grub-install.distrib") == 1
    assert programs.count("/usr/bin/xen-guest-bootloader") == 1


def test_a_pv_guest_needs_no_target(pv_guest: ChrootGuest) -> None:
    pv_guest.shell("rm -r /boot/xen /boot/grub/x86_64-xen")
    done = pv_guest.run("grub-install")
    assert "Installing for x86_64-xen platform.\n" in done.stderr
    assert "Installation finished. No error reported.\n" in done.stderr
    pv_guest.assert_right()


def test_a_pvh_guest_needs_no_target(make_guest: MakeGuest, deb: Path) -> None:
    guest = make_guest(platform=Platform.PVH)
    install(guest, deb)
    guest.shell("rm -r /boot/xen")
    assert "Installing for i386-xen_pvh platform.\n" in guest.run("grub-install").stderr
    assert guest.states() == {"i386-xen_pvh": "current", "grub.cfg": "current"}
    guest.assert_right()


def test_a_named_target_is_installed(pv_guest: ChrootGuest) -> None:
    done = pv_guest.run("grub-install", "--target=i386-xen")
    assert "Installing for i386-xen platform.\n" in done.stderr
    found = pv_guest.run(
        "xen-guest-bootloader", "status", "--json", "--target", "i386-xen", check=False
    )
    assert '"state": "current"' in found.stdout
    assert pv_guest.disk.given.cat("/boot/xen/pvboot-i386.elf")


def test_a_failure_changes_nothing(pv_guest: ChrootGuest) -> None:
    pv_guest.shell("mv /usr/bin/grub-mkrelpath /usr/lib/grub/x86_64-xen/kernel.img /root/")
    before = pv_guest.snapshot(), pv_guest.read("/boot/xen/pvboot-x86_64.elf")
    expected = pv_guest.run(
        "bash", "-c", f"{REAL} --target=x86_64-xen --boot-directory=/root/boot", check=False
    )
    found = pv_guest.run("grub-install", check=False)
    assert (found.returncode, found.stderr) == (expected.returncode, expected.stderr)
    assert found.returncode == 1
    assert (pv_guest.snapshot(), pv_guest.read("/boot/xen/pvboot-x86_64.elf")) == before


def test_another_boot_directory_is_the_real_ones_business(pv_guest: ChrootGuest) -> None:
    before = pv_guest.read("/boot/xen/pvboot-x86_64.elf")
    pv_guest.run("grub-install", "--boot-directory=/srv/boot")
    assert pv_guest.path("/srv/boot/grub/x86_64-xen/core.elf").exists()
    assert pv_guest.read("/boot/xen/pvboot-x86_64.elf") == before


SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
HOOK = "/etc/kernel/postinst.d/zz-xen-guest-bootloader"
KEY = b"\x99" * 625


def core(guest: ChrootGuest) -> Core:
    """What is in the second stage that is installed."""
    found = second_stage.read(guest.read(SECOND_STAGE)).core
    assert found is not None
    return found


def names(found: Core) -> set[str]:
    return {module.name for module in found.modules}


def test_every_option_of_the_release_is_known(shared_guest: ChrootGuest) -> None:
    options = in_help(shared_guest.run("bash", "-c", f"{REAL} --help").stdout)
    assert {name: (OPTIONS[name].letter, OPTIONS[name].takes_value) for name in options} == options


def test_keys_and_modules_stay_until_the_next_grub_install(pv_guest: ChrootGuest) -> None:
    """In what the wrapper installs, in what is built later without the key's file, and behind
    damage and a forgotten past.
    """
    guest = pv_guest
    guest.path("/root/key").write_bytes(KEY)
    assert "hexdump" not in names(core(guest))
    guest.run("grub-install", "-k", "/root/key", "--modules=hexdump pgp")
    guest.path("/root/key").unlink()
    steps = {
        "installed": ":",
        "forced": "xen-guest-bootloader sync --force",
        "core-lost": f"rm {SECOND_STAGE}; xen-guest-bootloader sync",
        "all-lost": f"rm -r {SECOND_STAGE} /boot/grub/x86_64-xen; xen-guest-bootloader sync",
        "damaged": (
            f"truncate --size=5000 {SECOND_STAGE}; rm -r /boot/grub/x86_64-xen; {HOOK}"
            " 6.1.0-0-amd64"
        ),
    }
    for name, script in steps.items():
        guest.shell(script)
        found = core(guest)
        assert (found.public_keys, {"hexdump", "pgp"} <= names(found)) == ((KEY,), True), name
    # Such a second stage starts nothing without a signature, and nobody signs the menu.
    findings = guest.status()["next_boot"]["findings"]
    assert {finding["code"] for finding in findings} == {"boot-file-unsigned"}
    assert set(guest.states().values()) == {"current"}

    guest.shell("rm -r /var/lib/xen-guest-bootloader; xen-guest-bootloader sync --force")
    assert core(guest).public_keys == (KEY,)

    guest.run("grub-install")
    assert core(guest).public_keys == ()
    assert "hexdump" not in names(core(guest))
    guest.assert_right()


def test_a_key_of_an_earlier_grub_install_is_kept(make_guest: MakeGuest, deb: Path) -> None:
    """One from before the package was there."""
    guest = make_guest()
    guest.path("/root/key").write_bytes(KEY)
    guest.run("grub-install", "--target=x86_64-xen", "--pubkey=/root/key")
    assert core(guest).public_keys == (KEY,)
    install(guest, deb)
    assert core(guest).public_keys == (KEY,)
    assert guest.states()["x86_64-xen"] == "current"


def test_a_choice_that_is_not_kept_is_told(pv_guest: ChrootGuest) -> None:
    done = pv_guest.run("grub-install", "--install-modules=normal")
    assert "xen-guest-bootloader: --install-modules is not kept: " in done.stderr
    pv_guest.assert_right()


@pytest.mark.parametrize(
    "words",
    [
        "--boot-directory=boot",
        "--boot-directory=root/../boot",
        "--root-directory=.",
        "--boot-dir /boot/.",
    ],
)
def test_boot_by_another_name(shared_guest: ChrootGuest, words: str) -> None:
    """The guest's commands run in /."""
    guest = shared_guest
    guest.platform = Platform.PV
    guest.shell(f"truncate --size=5000 {SECOND_STAGE}")
    guest.run("grub-install", *words.split())
    guest.assert_right()


def test_a_relative_boot_directory_elsewhere_is_the_real_ones_business(
    pv_guest: ChrootGuest,
) -> None:
    before = pv_guest.read(SECOND_STAGE)
    pv_guest.shell("mkdir -p /srv/boot; cd /srv && grub-install --boot-directory=boot")
    assert pv_guest.path("/srv/boot/grub/x86_64-xen/core.elf").exists()
    assert pv_guest.read(SECOND_STAGE) == before
