# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a guest whose boot loader is spoiled: with plain Debian tools, and with ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import grub_versions, xen_guest, xen_lab
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE, SECONDS, When, XenGuest
from tests.xen.test_boots import came_by_second_stage

MODULES = "cp /root/newer/x86_64-xen/*.mod /boot/grub/x86_64-xen/ && sync\n"
"""What a GRUB upgrade that was cut off leaves: other modules beside the old second stage."""
DEAD = ("symbol `grub_.*' not found", "grub rescue>")
CODE = (
    "dd if=/dev/zero of=/boot/xen/pvboot-x86_64.elf bs=4096 seek=4 count=8 conv=notrunc status=none"
    " && sync\n"
)
"""Its notes are good, so that stage 1 starts it."""
RUNNING = """
for second in $(seq 300); do
    systemctl is-active -q xen-guest-bootloader.service && break
    sleep 1
done
systemctl is-active xen-guest-bootloader.service || exit
"""
KEEP = (
    "cp /boot/xen/pvboot-x86_64.elf /run/lab/ && cp -r /boot/grub/x86_64-xen /run/lab/ && echo"
    " SERVICE-RUNS\n"
)
REPAIRED = """
for second in $(seq 300); do
    sleep 1
    cmp -s /boot/xen/pvboot-x86_64.elf /run/lab/pvboot-x86_64.elf &&
        diff -rq /boot/grub/x86_64-xen /run/lab/x86_64-xen && break
done
cmp /boot/xen/pvboot-x86_64.elf /run/lab/pvboot-x86_64.elf &&
    diff -rq /boot/grub/x86_64-xen /run/lab/x86_64-xen && echo REPAIRED
"""


@pytest.fixture(scope="module")
def newer() -> Path:
    """GRUB 2.14's modules: those of trixie's 2.12 need no symbol that bookworm's core lacks,
    and load into it.
    """
    return Path(grub_versions.of("sid").lib)


def _with_newer_modules(newer: Path, tree: ChrootGuest) -> None:
    tree.path("/root").mkdir(exist_ok=True)
    tree.shell("mkdir -p /root/newer/x86_64-xen")
    for module in (newer / "x86_64-xen").glob("*.mod"):
        tree.path(f"/root/newer/x86_64-xen/{module.name}").write_bytes(module.read_bytes())


@pytest.fixture(scope="module")
def plain(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """A guest made as Debian documents it, without this package, in which an upgrade of GRUB
    was then cut off.
    """

    def prepare(tree: ChrootGuest) -> None:
        _with_newer_modules(newer, tree)
        tree.run("grub-install", "--target=x86_64-xen")
        tree.run("update-grub")
        tree.shell(MODULES)

    with xen_guest.made(
        tmp_path_factory.mktemp("plain"), Suite.BOOKWORM, None, prepare=prepare
    ) as guest:
        yield guest


@pytest.fixture(scope="module")
def ours(newer: Path, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """The same guest with this package."""
    with xen_guest.made(
        tmp_path_factory.mktemp("ours"),
        Suite.BOOKWORM,
        deb,
        prepare=lambda tree: _with_newer_modules(newer, tree),
    ) as guest:
        yield guest


def test_plain_tools_leave_a_guest_that_does_not_boot(dom0: Dom0, plain: XenGuest) -> None:
    consoles = xen_lab.boot(
        [plain.run("damaged", "pv", dom0, "", until=("grub rescue>", "Loading Linux"))]
    )
    consoles["damaged"].expect("Chainloading", "Welcome to GRUB!", *DEAD)
    consoles["damaged"].never("LAB-GUEST")


def test_our_service_repairs_it_and_it_boots(dom0: Dom0, ours: XenGuest) -> None:
    script = RUNNING + KEEP + MODULES + CODE + REPAIRED
    consoles = xen_lab.boot(
        [
            ours.run("damaging", "pvh", dom0, script, when=When.LATE, seconds=2 * SECONDS),
            ours.run("repaired", "pv", dom0, "", until=(CMDLINE,)),
        ]
    )
    consoles["damaging"].expect("SERVICE-RUNS", "REPAIRED")
    came_by_second_stage(consoles["repaired"], "pv")
