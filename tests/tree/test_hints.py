# SPDX-License-Identifier: GPL-3.0-or-later
"""The next step that a finding names is taken, in the running guest, and the finding is gone."""

import re
from collections.abc import Iterator

import pytest

from guest_hooks.problems.row import Actor
from guest_hooks.problems.table import TABLE
from tests.support.debian_tree import Suite
from tests.support.guest_tree import live_guest, verb
from tests.support.tree_guest import Platform, TreeGuest

CFG = "/boot/grub/grub.cfg"
SECOND_STAGE = "/boot/xen/pvhboot-i386.elf"
PROGRAM = "xen-guest-bootloader"
CASES = {
    "missing": f"rm {SECOND_STAGE}",
    "truncated": f"truncate -s 300000 {SECOND_STAGE}",
    "not-elf": f": >{SECOND_STAGE}",
    "bridge-damaged": "truncate -s 300000 /boot/xen/pvhboot-i386.linux",
    "core-image-differs": "rm /boot/grub/i386-xen_pvh/core.elf",
    "module-dir-differs": "rm /boot/grub/i386-xen_pvh/normal.mod",
    "grub-cfg-missing": f"rm {CFG}",
    "grub-cfg-invalid": f"truncate -s 3000 {CFG}",
    "menu-empty": f"echo set timeout=5 >{CFG}",
    "kernel-gone": f"sed -i 's#vmlinuz-[^ ]*#vmlinuz-0#' {CFG}",
    "kernel-missing": f"sed -i 's#vmlinuz-[^ ]*#vmlinuz-0#' {CFG}",
    "menu-of-another-disk": f"sed -i 's/--set=root.*/--set=root 1111-2222/' {CFG}",
    "entry-file-system-missing": f"sed -i 's/--set=root.*/--set=root 1111-2222/' {CFG}",
    "root-of-builder": f"sed -i 's#root=[^ ]*#root=/dev/nbd7#' {CFG}",
    "menu-of-builders-disk": f"sed -i 's#root=[^ ]*#root=/dev/sda1#' {CFG}",
    "initrd-not-in-menu": f"sed -i '/initrd/d' {CFG}",
    "grubenv-invalid": "echo broken >/boot/grub/grubenv",
    "initrd-missing": "rm /boot/initrd.img-*",
    "initrd-empty": "for file in /boot/initrd.img-*; do : >$file; done",
}


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreeGuest]:
    work = tmp_path_factory.mktemp("hints")
    with live_guest(Suite.BOOKWORM, work, platform=Platform.PVH) as guest:
        verb(guest, "sync")
        yield guest


def found(guest: TreeGuest) -> dict[str, str]:
    """Each problem's code, as the table has it, with its next step."""
    table = verb(guest, "status", "--json", code=None).json
    rows = [*table["problems"], *table["grub_cfg"]["problems"], *table["next_boot"]["findings"]]
    rows += [row for target in table["targets"] for row in target["problems"]]
    return {row["code"].removeprefix("second-stage-"): row["hint"] for row in rows}


@pytest.mark.parametrize(("code", "damage"), CASES.items(), ids=list(CASES))
def test_the_step_removes_the_finding(guest: TreeGuest, code: str, damage: str) -> None:
    guest.run("sh", "-ec", damage)
    hint = found(guest)[code]
    command = re.split(r": |then: ", hint)[-1]
    assert TABLE[code].row.actor is not Actor.HOST
    guest.run("sh", "-c", command.replace(PROGRAM, "python3 -m guest_hooks"), check=False)
    assert code not in found(guest), hint
    verb(guest, "sync", code=None)
