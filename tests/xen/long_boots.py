"""What takes too long for `make test`; `make test-xen` runs it."""

from tests.support import xen_lab
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import STATUS, XenGuest
from tests.support.xen_lab import Ends
from tests.xen.long_damage import CODE
from tests.xen.test_boots import boots_by_second_stage


def test_one_disk_as_pv_then_pvh_then_pv(dom0: Dom0, bookworm: XenGuest) -> None:
    """As in the short test, but every time the guest's own word is asked."""
    starts = {"first": "pv", "second": "pvh", "third": "pv"}
    consoles = xen_lab.boot([bookworm.run(name, mode, dom0, STATUS) for name, mode in starts.items()])
    for name, mode in starts.items():
        boots_by_second_stage(consoles[name], mode)


def test_spoiled_code_crashes_a_guest_that_nobody_repairs(dom0: Dom0, bookworm: XenGuest) -> None:
    """So that the repair by the service is known to matter."""
    alone = "systemctl mask --runtime --now xen-guest-bootloader.service\n" + CODE
    consoles = xen_lab.boot(
        [
            bookworm.run("damaging", "pv", dom0, alone),
            bookworm.run("crashing", "pv", dom0, "", until=(), ends=Ends.CRASHED),
        ]
    )
    consoles["crashing"].expect("Chainloading")
