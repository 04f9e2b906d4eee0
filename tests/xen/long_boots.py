# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of both releases ask themselves how they booted, which takes too long for `make test`;
`make test-xen` runs it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats import boot_provenance
from tests.support import grub_versions, xen_guest, xen_lab
from tests.support.debian_tree import Kind, Suite
from tests.support.tree_guest import TreeGuest
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE, STAGE1_TARGETS, STATUS, When, XenGuest, answer
from tests.support.xen_lab import Ends
from tests.xen.long_damage import CODE
from tests.xen.test_boots import SECOND_STAGES, boots_by_second_stage, came_by_second_stage

MEMORY = 512
"""MiB; the vmlinux of trixie's kernel has 58."""
NO_SECOND_STAGE = "rm /boot/xen/pvboot-*.elf && sync\n"
ZEROS = (
    "dd if=/dev/zero of=/boot/xen/pvhboot-i386.linux bs=4096 count=1 conv=notrunc status=none &&"
    " sync\n"
)


def test_bookworm_as_pv_then_pvh_then_pv(dom0: Dom0, bookworm: XenGuest) -> None:
    runs = [
        bookworm.run("first", "pv", dom0, STATUS),
        bookworm.run("second", "pvh", dom0, STATUS),
        bookworm.run("third", "pv", dom0, "", until=("Loading Linux",)),
    ]
    consoles = xen_lab.boot(runs)
    boots_by_second_stage(consoles["first"], "pv")
    boots_by_second_stage(consoles["second"], "pvh")
    consoles["third"].expect(
        "Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "Loading Linux"
    )


@pytest.fixture(scope="module")
def trixie(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    with xen_guest.made(tmp_path_factory.mktemp("trixie"), Suite.TRIXIE, deb) as guest:
        yield guest


def test_trixie_as_pv_then_pvh_then_pv_by_debians_own_kernel(dom0: Dom0, trixie: XenGuest) -> None:
    """It is packed with zstd, which the GRUBs of bookworm and trixie do not unpack for a PV guest:
    a PV boot starts its copy, a PVH boot the kernel itself. Nothing was done but to install the
    package.
    """
    consoles = xen_lab.boot(
        [
            trixie.run("first", "pv", dom0, STATUS, memory=MEMORY),
            trixie.run("second", "pvh", dom0, STATUS, memory=MEMORY),
            trixie.run("third", "pv", dom0, "", memory=MEMORY, until=(CMDLINE,)),
        ]
    )
    boots_by_second_stage(consoles["first"], "pv")
    boots_by_second_stage(consoles["second"], "pvh")
    came_by_second_stage(consoles["third"], "pv")
    for name in ("first", "second"):
        found = answer(consoles[name])
        assert found["next_boot"]["findings"] == []
        (kernel,) = found["kernels"]
        assert kernel["starts"] == {"pv": "copy", "pvh": "itself"}
        assert kernel["compression"] == "zstd"
    for console in consoles.values():
        console.never("not xen image", "invalid magic number")


def test_a_stage_1_that_only_reads_the_menu_starts_the_copy(dom0: Dom0, trixie: XenGuest) -> None:
    consoles = xen_lab.boot(
        [
            trixie.run("removing", "pv", dom0, NO_SECOND_STAGE, memory=MEMORY, when=When.BARE),
            trixie.run("by-the-menu", "pv", dom0, "", memory=MEMORY, until=(CMDLINE,)),
        ]
    )
    console = consoles["by-the-menu"]
    console.expect("Welcome to GRUB!", "Loading Linux", "LAB-GUEST type=PV")
    console.never("Chainloading", "not xen image")
    cmdline = re.search(CMDLINE, console.text)
    assert cmdline
    assert boot_provenance.read(cmdline[1]).via == "stage-1"


OLDER = "6.11.0-older"
"""Trixie's kernel again, by the name of an older one."""


def _an_older_kernel(tree: TreeGuest) -> None:
    tree.shell(
        "for file in vmlinuz initrd.img; do"
        f' for path in /boot/$file-6.12*; do cp "$path" /boot/$file-{OLDER}; done; done'
    )
    tree.write(
        "/etc/default/grub.d/older.cfg",
        f'GRUB_DEFAULT="Advanced options for GNU/Linux>GNU/Linux, with Linux {OLDER}"\n',
    )


def test_an_older_kernel_as_pv_by_its_title_and_the_newest_by_grub_reboot(
    dom0: Dom0, deb: Path, tmp_path: Path
) -> None:
    with xen_guest.made(tmp_path, Suite.TRIXIE, deb, prepare=_an_older_kernel) as guest:
        runs = [
            guest.run(
                "title", "pv", dom0, "grub-reboot 0 && sync\n", when=When.BARE, memory=MEMORY
            ),
            guest.run("once", "pv", dom0, "", memory=MEMORY, until=("Loading initial ramdisk",)),
        ]
        consoles = xen_lab.boot(runs, dom0=dom0)
    consoles["title"].expect("Welcome to GRUB!", f"Loading Linux {OLDER}", "LAB-GUEST type=PV")
    consoles["once"].expect("Welcome to GRUB!", "Loading Linux 6.12", "Loading initial ramdisk")
    for console in consoles.values():
        console.never("not xen image")


def test_bookworms_cloud_kernel_as_pv(dom0: Dom0, deb: Path, tmp_path: Path) -> None:
    """It is packed with LZ4, which no GRUB unpacks for a PV guest."""
    with xen_guest.made(tmp_path, Suite.BOOKWORM, deb, kind=Kind.FULL) as guest:
        consoles = xen_lab.boot(
            [guest.run("pv", "pv", dom0, "", memory=MEMORY, until=(CMDLINE,))], dom0=dom0
        )
    came_by_second_stage(consoles["pv"], "pv")
    consoles["pv"].never("not xen image")


def test_stage_1s_of_newer_grubs_hand_over(dom0: Dom0, bookworm: XenGuest) -> None:
    """Debian's unmodified images of 2.12 and 2.14, on a host that is newer than its guest."""
    runs = []
    for suite in ("trixie", "sid"):
        for mode, target in STAGE1_TARGETS.items():
            image = bookworm.work / f"{suite}-{target}.bin"
            image.write_bytes(grub_versions.of(suite).stage1(target))
            runs.append(
                bookworm.run(
                    f"{suite}-{mode}",
                    mode,
                    dom0,
                    "",
                    kernel=image,
                    until=("Loading Linux",),
                    linger=0,
                )
            )
    consoles = xen_lab.boot(runs)
    for console in consoles.values():
        path = re.escape(SECOND_STAGES[console.name.partition("-")[2]])
        console.expect(
            "Welcome to GRUB!", f"Chainloading .*{path}", "Welcome to GRUB!", "Loading Linux"
        )


def test_a_bridge_that_grub_refuses_is_passed_over(dom0: Dom0, bookworm: XenGuest) -> None:
    consoles = xen_lab.boot(
        [
            bookworm.run("damaging", "pv", dom0, ZEROS, when=When.BARE),
            bookworm.run("by-the-menu", "pvh", dom0, "", until=(CMDLINE,)),
        ]
    )
    console = consoles["by-the-menu"]
    console.expect(
        "Welcome to GRUB!",
        "Chainloading",
        "error: invalid magic number",
        "Loading Linux",
        "LAB-GUEST type=PVH",
    )
    cmdline = re.search(CMDLINE, console.text)
    assert cmdline
    assert boot_provenance.read(cmdline[1]).via == "stage-1"


def test_spoiled_code_crashes_a_guest_that_nobody_repairs(dom0: Dom0, bookworm: XenGuest) -> None:
    """So that the repair by the service is known to matter."""
    consoles = xen_lab.boot(
        [
            bookworm.run("damaging", "pvh", dom0, CODE, when=When.BARE),
            bookworm.run("crashing", "pv", dom0, "", until=(), ends=Ends.CRASHED),
        ]
    )
    consoles["crashing"].expect("Chainloading")
