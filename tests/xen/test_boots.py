# SPDX-License-Identifier: GPL-3.0-or-later
"""A real guest, started by the host as PV and as PVH, boots by its own second stage and knows
it.
"""

import re
from typing import Any

import pytest

from guest_hooks.formats import boot_provenance
from guest_hooks.host import stage1_image
from guest_hooks.machine.root import Root
from guest_hooks.model import LastBoot
from guest_hooks.targets import TARGETS
from tests.support import xen_lab
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE, STAGE1_TARGETS, XenGuest, answer
from tests.support.xen_lab import Console, GuestRun

SECOND_STAGES = {"pv": "/boot/xen/pvboot-x86_64.elf", "pvh": "/boot/xen/pvhboot-i386.linux"}
PLATFORMS = {"pv": "xen", "pvh": "xen_pvh"}


def came_by_second_stage(
    console: Console, mode: str, *, prefix: str = "(xen/xvda)/boot/grub"
) -> None:
    """The console shows stage 1, the handover, a second GRUB, Linux in the right mode; and
    Linux knows by which GRUB it came.
    """
    second_stage = re.escape(SECOND_STAGES[mode].removeprefix("/boot"))
    console.expect(
        "Welcome to GRUB!",
        f"Chainloading .*{second_stage}",
        "Welcome to GRUB!",
        f"LAB-GUEST type={mode.upper()}",
    )
    console.never("symbol `.*' not found", "grub rescue>", "[Uu]nknown kernel command line param")
    cmdline = re.search(CMDLINE, console.text)
    assert cmdline, console.text
    expected = LastBoot(via="second-stage", prefix=prefix, platform=PLATFORMS[mode])
    assert boot_provenance.read(cmdline.group(1)) == expected


def boots_by_second_stage(
    console: Console, mode: str, *, prefix: str = "(xen/xvda)/boot/grub"
) -> None:
    """It came by the second stage, and the guest's own program says the same and finds all as
    it should be.
    """
    came_by_second_stage(console, mode, prefix=prefix)
    status = answer(console)
    assert status["last_boot"] == {
        "via": "second-stage",
        "prefix": prefix,
        "platform": PLATFORMS[mode],
    }
    states = {target["target"]: target["state"] for target in status["targets"]}
    assert states == {"x86_64-xen": "current", "i386-xen_pvh": "current"}, status
    assert status["ok"], status


OWN_STAGE1 = {"pv": "third", "pvh": "much"}
"""Which run begins with a stage 1 that this package made; the others have Debian's."""


@pytest.fixture(scope="module")
def consoles(dom0: Dom0, bookworm: XenGuest) -> dict[str, Console]:
    """What each run of the tests below said, in one start of Xen.

    The guest's own word (`status`) takes longer; the same tests in long_boots.py ask for it.
    """
    own = {mode: bookworm.work / f"stage1-{mode}.bin" for mode in STAGE1_TARGETS}
    for mode, target in STAGE1_TARGETS.items():
        stage1_image.build(TARGETS[target], str(own[mode]), Root("/"))

    def run(name: str, mode: str, until: str, **options: Any) -> GuestRun:
        return bookworm.run(name, mode, dom0, "", until=(until,), linger=0, **options)

    runs = [
        run("first", "pv", CMDLINE),
        run("second", "pvh", CMDLINE),
        run("third", "pv", "Loading Linux", kernel=own["pv"]),
        run("little", "pvh", "out of memory", memory=64),
        # The last one, for Xen cleans a guest's memory when it is gone.
        run("much", "pvh", "Loading Linux", memory=4096, kernel=own["pvh"]),
    ]
    return xen_lab.boot(runs)


def test_one_disk_as_pv_then_pvh_then_pv(consoles: dict[str, Console]) -> None:
    came_by_second_stage(consoles["first"], "pv")
    came_by_second_stage(consoles["second"], "pvh")
    consoles["third"].expect(
        "Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "Loading Linux"
    )


def test_stage_1s_of_our_own_boot_it(consoles: dict[str, Console]) -> None:
    for mode, path in SECOND_STAGES.items():
        chainloading = re.escape(f"Chainloading (xen/xvda){path}")
        console = consoles[OWN_STAGE1[mode]]
        console.expect("Welcome to GRUB!", chainloading, "Welcome to GRUB!", "Loading Linux")
        console.never("Reading ")


def test_the_bridge_in_little_and_in_much_memory(consoles: dict[str, Console]) -> None:
    """In 64 MiB Debian's kernel has no room, so that the second stage's own word on that is the
    proof that it ran.
    """
    consoles["little"].expect(
        "Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "out of memory"
    )
    consoles["much"].expect("Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "Loading Linux")
