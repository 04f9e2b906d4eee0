# SPDX-License-Identifier: GPL-3.0-or-later
"""A test that is skipped, that may fail, or of which no worker told, is one that failed: what did
not run shows nothing.
"""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Judge a test, its setup and its teardown, after pytest itself has judged them."""
    outcome = yield
    refuse(outcome.get_result())


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """Judge a module that leaves out all of its tests."""
    outcome = yield
    refuse(outcome.get_result())


class Heard:
    """Counts the tests that came to an end, in whichever worker they ran."""

    def __init__(self) -> None:
        self._ended: set[str] = set()

    def add(self, report: pytest.TestReport) -> None:
        """Take one of the three reports of a test."""
        if report.when == "teardown":
            self._ended.add(report.nodeid)

    def judge(self, session: pytest.Session) -> str:
        """Let a run that would end well fail where a test did not come to its end; what it says
        then, or nothing.
        """
        missing = session.testscollected - len(self._ended)
        if session.config.option.collectonly or session.exitstatus != pytest.ExitCode.OK:
            return ""
        if missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return f"{missing} of {session.testscollected} tests have no result" if missing else ""


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Let a report that says "skipped", or that a failure was expected, say "failed"."""
    # pytest's own mark of xfail(), which it has set on the report by then (_pytest/skipping.py).
    expected = vars(report).pop("wasxfail", None)
    if report.outcome == "skipped" or expected is not None:
        report.outcome = "failed"
        why = _reason(report) if expected is None else f"its failure is expected: {expected}"
        report.longrepr = f"{report.nodeid}: no test is left out. {why}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped, in the words of whoever did."""
    longrepr = report.longrepr
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
