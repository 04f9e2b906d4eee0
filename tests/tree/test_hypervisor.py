# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest in which xen-hypervisor is installed: GRUB's own scripts make its entry the default."""

import re
import struct
from pathlib import Path

from tests.support.debian_layouts import Layout, debian
from tests.support.debian_tree import Suite
from tests.support.outside_guest import OutsideGuest

PV, PVH = "x86_64-xen", "i386-xen_pvh"
MAGIC, END_TAG = 0xE85250D6, struct.pack("<HHI", 0, 0, 8)
SETTINGS = "/etc/default/grub.d/xen.cfg"


def hypervisor() -> bytes:
    """What grub-file takes for a Xen: a multiboot2 header (Multiboot2 Specification, 3.1)."""
    length = 16 + len(END_TAG)
    fields = (MAGIC, 0, length, -(MAGIC + length) & 0xFFFFFFFF)
    return struct.pack("<IIII", *fields) + END_TAG + bytes(4096)


def prepare(top: Path) -> None:
    (top / "boot/xen-4.17-amd64.gz").write_bytes(hypervisor())
    (top / SETTINGS.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)


def make_menu(tree: OutsideGuest, settings: str) -> str:
    """The menu that update-grub makes with these settings of xen-hypervisor's."""
    menu = tree.path("/boot/grub/grub.cfg")
    tree.path(SETTINGS).write_text(settings)
    menu.unlink()
    tree.run("sync", f"--target={PV}", code=None)
    return menu.read_text()


def codes(tree: OutsideGuest, target: str) -> list[str]:
    answer = tree.run("preflight", "--json", f"--target={target}", code=None).json
    return [finding["code"] for finding in answer["findings"]]


def test_its_entry_is_no_linux(tmp_path: Path) -> None:
    with debian(tmp_path, Layout(suite=Suite.BOOKWORM), PV, prepare=prepare) as tree:
        tree.run("sync", "--no-update-grub", f"--target={PVH}")
        menu = make_menu(tree, "")  # as XEN_OVERRIDE_GRUB_DEFAULT=0 makes it
        assert "\tmultiboot2\t" in menu
        assert codes(tree, PV) == []
        assert codes(tree, PVH) == []

        found = re.search(r"menuentry '([^']*Xen hypervisor[^']*)'", menu)
        assert found
        make_menu(tree, f'GRUB_DEFAULT="{found[1]}"\n')
        assert codes(tree, PV) == ["entry-command-missing"]
        assert codes(tree, PVH) == ["entry-starts-hypervisor"]
