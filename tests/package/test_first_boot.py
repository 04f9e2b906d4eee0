"""A new instance's first boot, by the stages of the real cloud-init with the NoCloud data source."""

import re
from pathlib import Path

from tests.package.conftest import MakeGuest, install
from tests.support.tree_guest import Platform, TreeGuest

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


def boot(guest: TreeGuest, instance: str, user_data: str = "#cloud-config\n") -> str:
    """Go through cloud-init's stages as a boot does; what the final one said."""
    guest.write("/etc/cloud/cloud.cfg.d/90-test.cfg", SETTINGS)
    guest.write(f"{SEED}/meta-data", f"instance-id: {instance}\n")
    guest.write(f"{SEED}/user-data", user_data)
    guest.shell("rm -rf /run/cloud-init")
    for stage in STAGES:
        done = guest.run("cloud-init", *stage.split(), check=False)
    return done.stdout + done.stderr


def results(guest: TreeGuest) -> list[str]:
    """How each run of our script ended, as cloud-init tells."""
    log = guest.read("/var/log/cloud-init.log").decode()
    return re.findall(r"finish: modules-final/config-scripts[-_]per[-_]instance: (\w+)", log)


def runs(guest: TreeGuest) -> int:
    """How often cloud-init ran our script."""
    command = "Running command ['/var/lib/cloud/scripts/per-instance/xen-guest-bootloader']"
    return guest.read("/var/log/cloud-init.log").decode().count(command)


def test_a_clone_is_put_right_on_its_first_boot(pv_guest: TreeGuest) -> None:
    boot(pv_guest, "original")
    pv_guest.assert_right()
    assert runs(pv_guest) == 1

    boot(pv_guest, "original")
    assert runs(pv_guest) == 1

    with pv_guest.cloned() as clone:
        assert clone.states() == {"x86_64-xen": "stale", "grub.cfg": "stale"}
        words = boot(clone, "clone")
        assert "wrote /boot/xen/pvboot-x86_64.elf (uuid-mismatch" in words
        assert "wrote /boot/grub/grub.cfg (menu-of-another-disk)" in words
        assert clone.disk.root.uuid in clone.read("/boot/grub/grub.cfg").decode()
        assert pv_guest.disk.root.uuid not in clone.read("/boot/grub/grub.cfg").decode()
        clone.assert_right()
        assert runs(clone) == 2
        assert results(clone) == ["SUCCESS"] * len(results(clone))


def test_user_data_is_heeded(pv_guest: TreeGuest) -> None:
    boot(pv_guest, "one", BOTH_TARGETS)
    assert pv_guest.states() == {"x86_64-xen": "current", "i386-xen_pvh": "current", "grub.cfg": "current"}
    pv_guest.assert_right()


def test_a_failure_is_seen(pv_guest: TreeGuest) -> None:
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
