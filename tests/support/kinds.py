# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of test, which are the directories of tests/, and the time that a run spent in each."""

from collections import Counter
from collections.abc import Iterator

import pytest

NEEDS_ROOT = ("tree", "package", "service", "xen", "reliability")


def kind(nodeid: str) -> str:
    """The kind of the test (or of the module) of this name; empty for one that is elsewhere."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else ""


class Times:
    """Counts the tests of each kind, and the seconds that they and their fixtures took; in
    whichever worker they ran.
    """

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._tests: Counter[str] = Counter()

    def add(self, report: pytest.TestReport) -> None:
        """Take one of the three reports of a test: set up, call, tear down."""
        name = kind(report.nodeid) or "other"
        self._seconds[name] += report.duration  # type: ignore[assignment]
        self._tests[name] += report.when == "setup"

    def lines(self) -> Iterator[str]:
        """The table, the longest kind first."""
        for name, seconds in self._seconds.most_common():
            yield f"{name:<12}{self._tests[name]:>6} tests {seconds:>8.1f} s"
