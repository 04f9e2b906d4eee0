# SPDX-License-Identifier: GPL-3.0-or-later
"""The next step that a finding names is taken, in the running guest, and the finding is gone."""

import re
from collections.abc import Iterator

import pytest

from guest_hooks.problems.row import Actor
from guest_hooks.problems.table import TABLE
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import Suite
from tests.support.followed_hints import FOLLOWED, Followed
from tests.support.outside_guest import live_guest, verb

PROGRAM = "xen-guest-bootloader"
KEEP = "touch /etc/default/grub; cp -a /etc/default/grub /etc/fstab /etc/grub.d /root"
PUT_BACK = (
    "cp /root/grub /etc/default/grub; cp /root/fstab /etc/fstab;"
    " rm -rf /etc/grub.d; cp -a /root/grub.d /etc/grub.d"
)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChrootGuest]:
    work = tmp_path_factory.mktemp("hints")
    with live_guest(Suite.BOOKWORM, work, platform=Platform.PVH) as guest:
        verb(guest, "sync")
        guest.shell(KEEP)
        yield guest


def found(guest: ChrootGuest) -> dict[str, str]:
    """Each problem's code, as the table has it, with its next step."""
    table = verb(guest, "status", "--json", code=None).json
    rows = [*table["problems"], *table["grub_cfg"]["problems"], *table["next_boot"]["findings"]]
    rows += [row for target in table["targets"] for row in target["problems"]]
    return {row["code"].removeprefix("second-stage-"): row["hint"] for row in rows}


@pytest.mark.parametrize(("code", "case"), FOLLOWED.items(), ids=list(FOLLOWED))
def test_the_step_removes_the_finding(guest: ChrootGuest, code: str, case: Followed) -> None:
    guest.run("sh", "-ec", case.damage)
    hint = found(guest)[code]
    assert TABLE[code].row.actor is not Actor.HOST
    if case.by_hand:
        guest.run("sh", "-ec", case.by_hand)
    command = re.split(r": |then: ", hint)[-1]
    guest.run("sh", "-c", command.replace(PROGRAM, "python3 -m guest_hooks"), check=False)
    assert code not in found(guest), hint
    guest.shell(PUT_BACK)
    verb(guest, "sync", "--adopt", code=None)
