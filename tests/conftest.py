# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that every kind of test shares, and what a run does beside running them."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import debian_package, machine_state
from tests.support.kinds import NEEDS_ROOT, Times, kind
from tests.support.once import made_once, shared_directory
from tests.support.skipping import (
    Heard,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from tests.support.waiting import until

__all__ = ["deb", "pytest_make_collect_report", "pytest_runtest_makereport"]

# A busy machine is no fault of the code; and a gate gives the same answer twice. `make reliability`
# is what explores.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("project")
TIMES = Times()
HEARD = Heard()
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is now, built once a run."""
    (built,) = made_once(shared_directory(tmp_path_factory) / "deb", debian_package.build).glob(
        "*.deb"
    )
    return built


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new directory of the test's own, as pytest's.

    To number it, pytest would list those of all tests before, and link to it.
    """
    name = re.sub(r"\W", "_", request.node.name)[:26]
    return tmp_path_factory.mktemp(f"{name}_{next(NUMBERS)}", numbered=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Deal out the tests by the groups that belong together."""
    # xdist's, which a run in one process does without.
    from tests.support.workers import Scheduling  # noqa: PLC0415

    return Scheduling(config, log)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what each kind of test takes, and which tests there were."""
    TIMES.add(report)
    HEARD.add(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge the run as a whole, in the process that gathers the results."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (fault := HEARD.judge(session)):
        reporter.write_line(fault, red=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """End with the time of each kind of test, before pytest's own last line."""
    terminalreporter.section("time of each kind of test, with its fixtures")
    for line in TIMES.lines():
        terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def _machine_stays_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a run leaves on the machine, or changes of its settings, is an error of its last
    test.
    """
    before = machine_state.settings()
    yield
    directory = tmp_path_factory.getbasetemp()
    with suppress(AssertionError):  # what was told to end may take a moment
        until(lambda: not machine_state.leftovers(directory), patience=5, pause=0.1)
    assert machine_state.changed_settings(before) + machine_state.leftovers(directory) == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say at once, and once, that the chosen tests need root."""
    kinds = {kind(item.nodeid) for item in items}
    if os.geteuid() != 0 and (privileged := sorted(kinds.intersection(NEEDS_ROOT))):
        raise pytest.UsageError(
            f"tests/{privileged[0]} needs root: run `make test`, or `make check` for the tests that"
            " need none"
        )
