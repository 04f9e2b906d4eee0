# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests share a worker of pytest-xdist, and which begin first."""

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling

ALONE = ("tests/xen/", "tests/service/", "tests/package/test_fresh_machine.py")
"""Of these no two tests run at once: they share one guest, or need processors or memory for two."""
BY_RELEASE = "tests/package/"
"""Of these no two tests of one Debian release run at once: what apt downloads for their guests is
in one place, and apt does not wait for the lock of that.
"""

FIRST = (*ALONE, "tests/package/", "tests/reliability/", "tests/tree/", "tests/unit/")
"""Those with the longest groups first: what begins late must be short, or one worker ends long
after another.
"""


def group(nodeid: str) -> str:
    """The group of a test, whose tests run in one worker one after another.

    This is a module, because its tests share what it built, or the part of a module that has a
    Debian release of its own.
    """
    if alone := [place for place in ALONE if nodeid.startswith(place)]:
        return alone[0]
    module, _, test = nodeid.partition("::")
    suite = re.search(r"\[.*\b(bookworm|trixie)\b", test)
    if module.startswith(BY_RELEASE):
        return f"{BY_RELEASE} {suite.group(1) if suite else 'bookworm'}"
    return f"{module} {suite.group(1)}" if suite else module


def urgency(group: str) -> int:
    """Groups with a lower number begin first."""
    places = [number for number, place in enumerate(FIRST) if group.startswith(place)]
    return min(places, default=len(FIRST))


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Deal out whole groups, the most urgent first."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        # xdist takes the first one, and what orders them there differs from release to release.
        self.workqueue.move_to_end(min(self.workqueue, key=urgency), last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        # A worker begins its last test when it knows the next one. xdist would give it another
        # group two tests before, where a test of the fresh machine takes minutes.
        if not self.workqueue or self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
