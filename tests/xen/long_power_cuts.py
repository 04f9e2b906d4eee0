"""The guest's power is cut in the middle of a sync, and after an upgrade; it boots, each time, by a whole second stage.

`make test-xen` runs this, `make test` does not.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import newer_grub, xen_guest, xen_lab
from tests.support.debian_tree import Suite
from tests.support.tree_guest import TreeGuest
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import DONE, STATUS, XenGuest
from tests.support.xen_lab import Console
from tests.xen.test_boots import boots_by_second_stage

SYNC = STATUS + "echo SYNC-BEGINS; xen-guest-bootloader sync --force; echo SYNC-ENDS; sleep 60\n"
CUTS = 20
LONGEST = 20.0
"""Seconds: longer than a sync takes under emulation."""
UPGRADE = "dpkg --force-depends --install /root/newer-grub-xen-bin.deb; echo UPGRADED; sleep 60\n"


def cut(dom0: Dom0, guest: XenGuest, moments: list[float]) -> list[Console]:
    """Destroy the guest so many seconds after each of its syncs began, then boot it once more."""
    runs = [
        guest.run(f"cut{number}", ("pv", "pvh")[number % 2], dom0, SYNC, until=("SYNC-BEGINS",), linger=moment)
        for number, moment in enumerate(moments)
    ]
    runs.append(guest.run("last", "pv", dom0, STATUS))
    consoles = xen_lab.boot(runs)
    return [consoles[run.name] for run in runs]


def booted(console: Console, mode: str) -> None:
    """It came up by a second stage; what a cut sync left to do is still to be done."""
    chainloaded = {"pv": "pvboot-x86_64.elf", "pvh": "pvhboot-i386.linux"}[mode]
    console.expect("Welcome to GRUB!", f"Chainloading .*{chainloaded}", "Welcome to GRUB!", f"LAB-GUEST type={mode.upper()}")
    console.never("grub rescue>")


@pytest.fixture(scope="module")
def guest(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """A guest of bookworm that has trixie's GRUB at hand."""
    newer = newer_grub.package(tmp_path_factory.mktemp("newer"))

    def prepare(tree: TreeGuest) -> None:
        tree.path("/root/newer-grub-xen-bin.deb").write_bytes(newer.read_bytes())

    with xen_guest.made(tmp_path_factory.mktemp("guest"), Suite.BOOKWORM, deb, prepare=prepare) as made:
        yield made


def test_destroyed_twenty_times(dom0: Dom0, guest: XenGuest) -> None:
    consoles = cut(dom0, guest, [LONGEST * (number + 0.5) / CUTS for number in range(CUTS)])
    for number, console in enumerate(consoles[:-1]):
        booted(console, ("pv", "pvh")[number % 2])
    booted(consoles[-1], "pv")
    consoles[-1].expect(DONE)


def test_grub_upgraded_and_the_power_cut(dom0: Dom0, guest: XenGuest) -> None:
    """The package's trigger has answered when dpkg returns; what it wrote must be what GRUB reads."""
    consoles = xen_lab.boot(
        [
            guest.run("upgraded", "pv", dom0, UPGRADE, until=("UPGRADED",), linger=0.0),
            guest.run("pv", "pv", dom0, STATUS),
            guest.run("pvh", "pvh", dom0, STATUS),
        ]
    )
    boots_by_second_stage(consoles["pv"], "pv")
    boots_by_second_stage(consoles["pvh"], "pvh")
