"""What every kind of test shares."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.checkout import CHECKOUT

# A busy machine is no fault of the code; and a gate gives the same answer twice. `make reliability` is what explores.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
settings.load_profile("project")
NEEDS_ROOT = ("tree", "package", "service", "xen", "reliability")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run with a skipped test has failed: what can't run here has shown nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (reporter.stats.get("skipped") or reporter.stats.get("xfailed")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say at once, and once, that the chosen tests need root."""
    kinds = {item.path.relative_to(CHECKOUT / "tests").parts[0] for item in items if item.path.is_relative_to(CHECKOUT / "tests")}
    if os.geteuid() != 0 and (privileged := sorted(kinds.intersection(NEEDS_ROOT))):
        raise pytest.UsageError(f"tests/{privileged[0]} needs root: run `make test`, or `make check` for the tests that need none")
