# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of the sweep: what the service does on a guest in each state that could become
worse by a menu.
"""

import pickle
from pathlib import Path

from tests.reliability import guest_states, never_worse, sections
from tests.support.debian_tree import Suite

MOST_TELLING = (
    "newer kernel without initrd",
    "newer kernel without initrd, menu stale",
    "newer kernel with half an initrd, menu stale",
    "newer kernel without initrd, menu of another disk",
    "10_linux lists nothing, menu stale",
    "10_linux forgets initrds, menu stale",
    "own initrd cut off, newer complete",
    "menu cut off, newer without initrd",
    "GRUB half installed, second stage gone",
)


def test_no_repair_ends_a_boot_that_works(tmp_path: Path) -> None:
    cases = [case for case in guest_states.CASES if case.name in MOST_TELLING]
    assert len(cases) == len(MOST_TELLING)
    found = list(
        never_worse.sweep(
            tmp_path, Suite.TRIXIE, fs_type="xfs", starts=["service and timer"], cases=cases
        )
    )
    assert len(found) == len(cases)
    assert [fault for fault in found if fault] == []


def test_each_sweep_can_be_sent_to_a_process_of_its_own() -> None:
    every = sections.all_sections(sections.Points(**dict.fromkeys(sections.Points.__slots__, 1)))
    sent = [pickle.loads(pickle.dumps(each)).name for each in every]  # noqa: S301 - our own
    assert sent == [each.name for each in every]
