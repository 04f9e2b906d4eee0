"""The script that puts the handover to a PVH second stage at the top of grub.cfg; tests/xen has it run by real stage 1s."""

import os
import re
import subprocess

from guest_hooks.targets import BOOT_XEN, TARGETS
from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "grub.d/00_chainload_xen_pvh"


def _printed() -> str:
    return subprocess.run([SCRIPT], check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}).stdout


def test_grub_can_parse_it() -> None:
    subprocess.run(["grub-script-check"], input=_printed(), text=True, check=True)


def test_it_looks_for_the_file_that_is_installed() -> None:
    bridge = TARGETS["i386-xen_pvh"].bridge
    assert re.search(r" in (.+); do", _printed()).group(1).split() == [f"{BOOT_XEN}/{bridge}", f"/xen/{bridge}"]  # type: ignore[union-attr]


def test_it_comes_before_all_that_debian_ships() -> None:
    assert SCRIPT.name < "00_header"
    assert re.fullmatch(r"[a-z0-9_]+", SCRIPT.name), "a name that every locale sorts alike"
