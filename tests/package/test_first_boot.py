# SPDX-License-Identifier: GPL-3.0-or-later
"""A new instance's first boot, by the stages of the real cloud-init with the NoCloud data
source.
"""

import re
from pathlib import Path

import pytest

from tests.package.conftest import MakeGuest, install
from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest, Platform

LINK = "/var/lib/cloud/scripts/per-instance/xen-guest-bootloader"
SCRIPT = "/usr/lib/xen-guest-bootloader/first-boot"
SEED = "/var/lib/cloud/seed/nocloud"
STAGES = ("init --local", "init", "modules --mode=config", "modules --mode=final")
SETTINGS = """\
datasource_list: [NoCloud]
network: {config: disabled}
cloud_init_modules: [seed_random, bootcmd, write-files, growpart, resizefs, update_etc_hosts]
cloud_config_modules: [runcmd]
"""
BOTH_TARGETS = """\
#cloud-config
write_files:
  - path: /etc/xen-guest-bootloader/conf.d/50-cloud.toml
    content: |
      targets = ["auto", "i386-xen_pvh"]
"""


def boot(guest: ChrootGuest, instance: str, user_data: str = "#cloud-config\n") -> str:
    """Go through systemd-tmpfiles and cloud-init's stages as a boot does; what the final one
    said.
    """
    guest.run("systemd-tmpfiles", "--create", "--boot", "--prefix=/var/lib/cloud")
    guest.write("/etc/cloud/cloud.cfg.d/90-test.cfg", SETTINGS)
    guest.write(f"{SEED}/meta-data", f"instance-id: {instance}\n")
    guest.write(f"{SEED}/user-data", user_data)
    guest.shell("rm -rf /run/cloud-init")
    for stage in STAGES:
        done = guest.run("cloud-init", *stage.split(), check=False)
    return done.stdout + done.stderr


def results(guest: ChrootGuest) -> list[str]:
    """How each run of our script ended, as cloud-init tells."""
    log = guest.read("/var/log/cloud-init.log").decode()
    return re.findall(r"finish: modules-final/config-scripts[-_]per[-_]instance: (\w+)", log)


def runs(guest: ChrootGuest) -> int:
    """How often cloud-init ran our script."""
    return guest.read("/var/log/cloud-init.log").decode().count(f"Running command ['{LINK}']")


def test_a_clone_is_put_right_on_its_first_boot(pv_guest: ChrootGuest) -> None:
    boot(pv_guest, "original")
    pv_guest.assert_right()
    assert runs(pv_guest) == 1

    boot(pv_guest, "original")
    assert runs(pv_guest) == 1

    with pv_guest.cloned() as clone:
        assert clone.states() == {"x86_64-xen": "stale", "grub.cfg": "stale"}
        words = boot(clone, "clone")
        assert "Rebuilt /boot/xen/pvboot-x86_64.elf: it looked for another file system" in words
        assert "Rebuilt /boot/grub/grub.cfg: it looked for another file system." in words
        assert clone.disk.root.uuid in clone.read("/boot/grub/grub.cfg").decode()
        assert pv_guest.disk.root.uuid not in clone.read("/boot/grub/grub.cfg").decode()
        clone.assert_right()
        assert runs(clone) == 2
        assert results(clone) == ["SUCCESS"] * len(results(clone))


@pytest.mark.parametrize("command", ["cloud-init clean --logs --seed", "rm -rf /var/lib/cloud"])
def test_an_image_is_cleaned_before_it_is_cloned(pv_guest: ChrootGuest, command: str) -> None:
    boot(pv_guest, "original")
    pv_guest.shell(command)
    pv_guest.shell("rm /boot/xen/pvboot-x86_64.elf")
    boot(pv_guest, "clone")
    pv_guest.assert_right()
    assert results(pv_guest)[-1:] == ["SUCCESS"]


def test_the_hook_moves_when_an_older_package_is_upgraded(
    make_guest: MakeGuest, deb: Path, tmp_path: Path
) -> None:
    guest = make_guest()
    install(
        guest,
        debian_package.repacked(deb, tmp_path, version="0.9", change=_has_the_hook_in_its_place),
    )
    assert not guest.path(LINK).is_symlink()
    install(guest, deb)
    boot(guest, "upgraded")
    assert str(guest.path(LINK).readlink()) == SCRIPT
    assert runs(guest) == 1
    guest.run("dpkg", "--remove", "xen-guest-bootloader")
    assert not guest.path(LINK).is_symlink()


def _has_the_hook_in_its_place(tree: Path) -> None:
    """As the package was before it shipped a link, and nothing that puts it back."""
    link = tree / LINK.lstrip("/")
    link.unlink(missing_ok=True)
    (tree / SCRIPT.lstrip("/")).rename(link)
    (tree / "usr/lib/tmpfiles.d/xen-guest-bootloader.conf").unlink()


def test_user_data_is_heeded(pv_guest: ChrootGuest) -> None:
    boot(pv_guest, "one", BOTH_TARGETS)
    assert pv_guest.states() == {
        "x86_64-xen": "current",
        "i386-xen_pvh": "current",
        "grub.cfg": "current",
    }
    pv_guest.assert_right()


def test_a_failure_is_seen(pv_guest: ChrootGuest) -> None:
    pv_guest.shell("mv /usr/lib/grub/x86_64-xen /root/; rm /boot/xen/pvboot-x86_64.elf")
    words = boot(pv_guest, "clone")
    assert "apt install grub-xen-bin" in words
    assert results(pv_guest) == ["FAIL"]
    assert "scripts" in pv_guest.run("cloud-init", "status", "--long", check=False).stdout


def test_an_hvm_instance_is_left_alone(make_guest: MakeGuest, deb: Path) -> None:
    guest = make_guest(platform=Platform.HVM)
    install(guest, deb)
    boot(guest, "hvm")
    assert results(guest) == ["SUCCESS"]
    assert not guest.path("/boot/xen").exists()
