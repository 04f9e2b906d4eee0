"""What happens to a guest whose boot loader is spoiled: with plain Debian tools, and with ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import newer_grub, xen_guest, xen_lab
from tests.support.debian_tree import Suite
from tests.support.tree_guest import TreeGuest
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import STATUS, XenGuest
from tests.xen.test_boots import boots_by_second_stage

MODULES = "cp /root/newer/x86_64-xen/*.mod /boot/grub/x86_64-xen/ && sync\n"
"""What a GRUB upgrade that was cut off leaves: other modules beside the old second stage."""
DEAD = ("symbol `grub_.*' not found|out of range pointer", "grub rescue>|Aborted")
"""The end of a core of 2.06 with modules of 2.12: which of the two it is depends on how far apart the two builds are."""
CODE = "dd if=/dev/zero of=/boot/xen/pvboot-x86_64.elf bs=4096 seek=4 count=8 conv=notrunc status=none && sync\n"
"""Its notes are good, so that stage 1 starts it."""
RUNNING = """
for second in $(seq 300); do
    systemctl is-active -q xen-guest-bootloader.service && break
    sleep 1
done
systemctl is-active xen-guest-bootloader.service
"""
REPAIRED = """
for second in $(seq 120); do
    xen-guest-bootloader status -q && break
    sleep 1
done
xen-guest-bootloader status && echo REPAIRED
"""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return newer_grub.modules(tmp_path_factory.mktemp("newer"))


def _with_newer_modules(newer: Path, tree: TreeGuest) -> None:
    tree.path("/root").mkdir(exist_ok=True)
    tree.shell("mkdir -p /root/newer/x86_64-xen")
    for module in (newer / "x86_64-xen").glob("*.mod"):
        tree.path(f"/root/newer/x86_64-xen/{module.name}").write_bytes(module.read_bytes())


@pytest.fixture(scope="module")
def plain(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """A guest made as Debian documents it, without this package, in which an upgrade of GRUB was then cut off."""

    def prepare(tree: TreeGuest) -> None:
        _with_newer_modules(newer, tree)
        tree.run("grub-install", "--target=x86_64-xen")
        tree.run("update-grub")
        tree.shell(MODULES)

    with xen_guest.made(tmp_path_factory.mktemp("plain"), Suite.BOOKWORM, None, prepare=prepare) as guest:
        yield guest


@pytest.fixture(scope="module")
def ours(newer: Path, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """The same guest with this package."""
    with xen_guest.made(
        tmp_path_factory.mktemp("ours"), Suite.BOOKWORM, deb, prepare=lambda tree: _with_newer_modules(newer, tree)
    ) as guest:
        yield guest


def test_plain_tools_leave_a_guest_that_does_not_boot(dom0: Dom0, plain: XenGuest) -> None:
    consoles = xen_lab.boot([plain.run("damaged", "pv", dom0, "", until=("grub rescue>", "Aborted"), linger=0)])
    consoles["damaged"].expect("Chainloading", "Welcome to GRUB!", *DEAD)
    consoles["damaged"].never("LAB-GUEST")


def test_our_service_repairs_it_and_it_boots(dom0: Dom0, ours: XenGuest) -> None:
    consoles = xen_lab.boot(
        [ours.run("damaging", "pv", dom0, RUNNING + MODULES + CODE + REPAIRED), ours.run("repaired", "pv", dom0, STATUS)]
    )
    consoles["damaging"].expect("REPAIRED")
    boots_by_second_stage(consoles["repaired"], "pv")
