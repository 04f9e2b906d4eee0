"""Twenty power cuts in the middle of a sync, at moments swept over its length. `make test-xen` runs this, `make test` does not."""

from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import XenGuest
from tests.xen.test_power_cuts import booted, cut, guest

CUTS = 20
LONGEST = 20.0
"""Seconds: longer than a sync takes under emulation."""

__all__ = ["guest"]


def test_destroyed_twenty_times(dom0: Dom0, guest: XenGuest) -> None:
    moments = [LONGEST * (number + 0.5) / CUTS for number in range(CUTS)]
    consoles = cut(dom0, guest, moments)
    for number, console in enumerate(consoles[:-1]):
        booted(console, ("pv", "pvh")[number % 2])
    booted(consoles[-1], "pv")
    consoles[-1].expect("LAB-GUEST-DONE 0")
