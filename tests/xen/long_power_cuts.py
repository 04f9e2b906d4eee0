# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's power is cut in the middle of a sync, and after an upgrade; it boots, each time,
by a whole second stage.

`make test-xen` runs this, `make test` does not.
"""

import re
from pathlib import Path

from tests.support import images, newer_grub, xen_guest, xen_lab
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import STAGE1_TARGETS, When
from tests.support.xen_lab import Console, Copies, GuestRun
from tests.xen.test_boots import SECOND_STAGES, came_by_second_stage

SYNCS = """
cuts=/etc/xen-guest-bootloader/conf.d/cuts.toml
while :; do
    for setting in 'extra_modules = ["ntfs"]' 'modules = "minimal"' ''; do
        echo "$setting" >$cuts
        echo SYNC-BEGINS
        xen-guest-bootloader sync --no-update-grub || exit
        echo SYNC-ENDS
    done
done
"""
"""Each has other files to write than the one before; with `minimal`, the module directories are
exchanged, too.
"""
WRITING = "Writing to the disk"
"""A step that sync shows on a terminal for as long as it takes."""
CUTS = 20
EVERY = 5.0
"""Seconds before a cut that is not aimed: a sync takes longer than that under emulation, and no
multiple of it.
"""
BOOT_SIZE = 96 * images.MIB
TO_LINUX = (16,)
"""Of the cuts, those from which Linux is started, too."""
UPGRADE = "dpkg --force-depends --install /root/newer-grub-xen-bin.deb && echo UPGRADED; sleep 60\n"


def second_stage_speaks(console: Console, mode: str) -> None:
    """Stage 1 handed over to the second stage, which read its modules and menu, and took up the
    kernel.
    """
    second_stage = re.escape(SECOND_STAGES[mode].removeprefix("/boot"))
    console.expect(
        "Welcome to GRUB!", f"Chainloading .*{second_stage}", "Welcome to GRUB!", "Loading Linux"
    )
    console.never("grub rescue>", "symbol `.*' not found")


def test_cut_twenty_times_in_the_middle_of_syncs(dom0: Dom0, deb: Path, tmp_path: Path) -> None:
    """What `xl destroy` would leave at twenty moments of syncs that follow each other, and at
    the last of them it is done.
    """
    with xen_guest.made(tmp_path, Suite.BOOKWORM, deb, boot="ext4", boot_size=BOOT_SIZE) as guest:
        root, boot = guest.disks
        cuts = [tmp_path / f"cut{number}.img" for number in range(CUTS)]
        for cut in cuts:
            with cut.open("wb") as file:
                file.truncate(boot.stat().st_size)
        copies = Copies(of=boot, to=tuple(cuts), every=EVERY, aim=WRITING)
        runs = [
            guest.run(
                "syncing",
                "pv",
                dom0,
                SYNCS,
                when=When.BARE,
                until=("SYNC-BEGINS",),
                linger=1.0,
                copies=copies,
            )
        ]
        for number, cut in enumerate(cuts):
            mode = ("pv", "pvh")[number % 2]
            is_whole = number in TO_LINUX
            runs.append(
                GuestRun(
                    name=f"cut{number}",
                    disk=root if is_whole else cut,
                    more=(cut,) if is_whole else (),
                    data=runs[0].data,
                    type=mode,
                    kernel=dom0.stage1(STAGE1_TARGETS[mode]),
                    until=(
                        "LAB-CMDLINE .* end" if is_whole else "Loading Linux",
                        "grub rescue>",
                        "grub>",
                    ),
                    timeout=xen_guest.SECONDS,
                )
            )
        consoles = xen_lab.boot(runs)
    syncing = consoles["syncing"]
    syncing.never("LAB-GUEST-DONE", "internal error")
    before = syncing.text.split("LAB-COPY")[:-1]
    assert len(before) == CUTS, syncing.text
    in_commit = [text for text in before if text.rpartition("SYNC-BEGINS")[2].count(WRITING)]
    assert len(in_commit) >= CUTS // 4, syncing.text
    assert "SYNC-ENDS" not in "".join(text.rpartition("SYNC-BEGINS")[2] for text in before), (
        syncing.text
    )
    for number in range(CUTS):
        mode = ("pv", "pvh")[number % 2]
        second_stage_speaks(consoles[f"cut{number}"], mode)
        if number in TO_LINUX:
            came_by_second_stage(consoles[f"cut{number}"], mode, prefix="(xen/xvdc)/grub")


def test_grub_upgraded_and_the_power_cut(dom0: Dom0, deb: Path, tmp_path: Path) -> None:
    """The package's trigger has answered when dpkg returns; what it wrote must be what GRUB
    reads.
    """
    newer = newer_grub.package(tmp_path)

    def prepare(tree: ChrootGuest) -> None:
        tree.path("/root/newer-grub-xen-bin.deb").write_bytes(newer.read_bytes())

    with xen_guest.made(tmp_path / "guest", Suite.BOOKWORM, deb, prepare=prepare) as guest:
        consoles = xen_lab.boot(
            [
                guest.run(
                    "upgraded", "pv", dom0, UPGRADE, when=When.BARE, until=("UPGRADED",), linger=0.0
                ),
                guest.run("pv", "pv", dom0, "", until=("Loading Linux", "grub rescue>")),
                guest.run("pvh", "pvh", dom0, "", until=("LAB-CMDLINE .* end", "grub rescue>")),
            ]
        )
    second_stage_speaks(consoles["pv"], "pv")
    came_by_second_stage(consoles["pvh"], "pvh")
