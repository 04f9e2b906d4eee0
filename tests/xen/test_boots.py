"""A real guest, started by the host as PV and as PVH, boots by its own second stage and knows it."""

import re

from guest_hooks import stage1
from guest_hooks.targets import TARGETS
from tests.support import xen_lab
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import DONE, STAGE1_TARGETS, STATUS, UP, XenGuest, answer
from tests.support.xen_lab import Console

SECOND_STAGES = {"pv": "/boot/xen/pvboot-x86_64.elf", "pvh": "/boot/xen/pvhboot-i386.linux"}
PLATFORMS = {"pv": "xen", "pvh": "xen_pvh"}


def boots_by_second_stage(console: Console, mode: str, *, prefix: str = "(xen/xvda)/boot/grub") -> None:
    """The console shows stage 1, the handover, a second GRUB, Linux; and the guest's own word on it agrees."""
    console.expect("Welcome to GRUB!", f"Chainloading .*{re.escape(SECOND_STAGES[mode].removeprefix('/boot'))}", "Welcome to GRUB!")
    console.expect(UP, DONE)
    console.never("symbol `.*' not found", "grub rescue>", "[Uu]nknown kernel command line param")
    assert re.search(UP, console.text).group(1) == mode.upper()  # type: ignore[union-attr]
    status = answer(console)
    assert status["last_boot"] == {"via": "second-stage", "prefix": prefix, "platform": PLATFORMS[mode]}
    assert {target["target"]: target["state"] for target in status["targets"]} == {
        "x86_64-xen": "current",
        "i386-xen_pvh": "current",
    }, status
    assert status["ok"], status


def test_one_disk_as_pv_then_pvh_then_pv(dom0: Dom0, bookworm: XenGuest) -> None:
    starts = {"first": "pv", "second": "pvh", "third": "pv"}
    consoles = xen_lab.boot([bookworm.run(name, mode, dom0, STATUS) for name, mode in starts.items()])
    for name, mode in starts.items():
        boots_by_second_stage(consoles[name], mode)


def test_stage_1s_of_our_own_boot_it(dom0: Dom0, bookworm: XenGuest) -> None:
    runs = []
    for mode, target in STAGE1_TARGETS.items():
        image = bookworm.work / f"stage1-{mode}.bin"
        stage1.build(TARGETS[target], str(image))
        runs.append(bookworm.run(mode, mode, dom0, STATUS, kernel=image, until=(UP,)))
    consoles = xen_lab.boot(runs)
    for mode, path in SECOND_STAGES.items():
        chainloading = re.escape(f"Chainloading (xen/xvda){path}")
        consoles[mode].expect("Welcome to GRUB!", chainloading, "Welcome to GRUB!", f"LAB-GUEST type={mode.upper()}")
        consoles[mode].never("Reading ")


def test_the_bridge_in_little_and_in_much_memory(dom0: Dom0, bookworm: XenGuest) -> None:
    """In 64 MiB Debian's kernel has no room, so that the second stage's own word on that is the proof that it ran."""
    little = bookworm.run("little", "pvh", dom0, "", memory=64, until=("out of memory",), linger=0)
    much = bookworm.run("much", "pvh", dom0, "", memory=4096, until=(UP,))
    consoles = xen_lab.boot([little, much])
    consoles["little"].expect("Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "out of memory")
    consoles["much"].expect("Welcome to GRUB!", "Chainloading", "Welcome to GRUB!", "LAB-GUEST type=PVH")
