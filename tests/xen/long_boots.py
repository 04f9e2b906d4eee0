# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest asks itself how it booted, by stage 1s of several releases and after damage, which takes
too long for `make test`; `make test-xen` runs it.
"""

import re

from guest_hooks.formats import boot_provenance
from tests.support import grub_versions, xen_lab
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE, STAGE1_TARGETS, STATUS, When, XenGuest
from tests.support.xen_lab import Ends
from tests.xen.long_damage import CODE
from tests.xen.test_boots import SECOND_STAGES, boots_by_second_stage

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
