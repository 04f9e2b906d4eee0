# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed run left is gone after the next one, even where that has nothing else to do."""

from pathlib import Path

from guest_hooks.cli.verbs.run_sync import UNCHANGED
from tests.support import fault_lab
from tests.support.debian_tree import Suite

NAME = ".xen-guest-bootloader-0123456789abcdef.tmp"


def test_a_run_with_nothing_to_do_removes_what_was_left(tmp_path: Path) -> None:
    with fault_lab.lab(tmp_path / "lab") as lab:
        lab.synced()
        lab.grub = Suite.TRIXIE
        lab.synced()
        state = lab.work / "var-lib/xen-guest-bootloader"
        left = [
            lab.work / "boot/xen" / NAME,
            lab.work / "boot/grub" / NAME,
            state / NAME,
            state / "previous" / NAME,
        ]
        for path in left:
            path.write_bytes(b"left")
        directory = lab.work / "boot/grub/x86_64-xen.xen-guest-bootloader-new"
        directory.mkdir()
        (directory / "normal.mod").write_bytes(b"left")
        done = lab.sync()
        assert (done.returncode, done.stdout) == (0, f"{UNCHANGED}\n")
        assert [path for path in (*left, directory) if path.exists()] == []
