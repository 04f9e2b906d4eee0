# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run deals its tests out to workers, and what it says of their time."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.kinds import Times, kind
from tests.support.outside_guest import PYTHON
from tests.support.workers import ALONE, FIRST, Scheduling, group, urgency


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        pytest.param(
            "tests/unit/test_lock.py::TestHeld::test_a[b]", "tests/unit/test_lock.py", id="module"
        ),
        pytest.param(
            "tests/package/test_a.py::test_b[pv-trixie]",
            "tests/package/ trixie",
            id="one-apt-a-release",
        ),
        pytest.param("tests/package/test_a.py::test_b", "tests/package/ bookworm", id="one-apt"),
        pytest.param(
            "tests/tree/test_a.py::test_b[bookworm-ext4-mbr]",
            "tests/tree/test_a.py bookworm",
            id="release-and-disk",
        ),
        pytest.param(
            "tests/tree/test_bookworm.py::test_trixie[ext4]",
            "tests/tree/test_bookworm.py",
            id="a-name-is-no-release",
        ),
        pytest.param("tests/service/test_life.py::test_a", "tests/service/", id="one-guest"),
        pytest.param("tests/xen/long_boots.py::test_a[trixie]", "tests/xen/", id="one-xen"),
        pytest.param(
            "tests/package/test_fresh_machine.py::test_a[trixie]",
            "tests/package/test_fresh_machine.py",
            id="one-machine",
        ),
    ],
)
def test_tests_that_share_something_share_a_worker(nodeid: str, expected: str) -> None:
    assert group(nodeid) == expected


def test_long_groups_begin_first() -> None:
    names = [
        f"{place}::test_b" if place.endswith(".py") else f"{place}test_a.py::test_b"
        for place in FIRST
    ]
    assert sorted(set(names), key=lambda name: urgency(group(name))) == names


@dataclass
class Worker:
    """What the scheduler asks of one, as xdist.workermanage.WorkerController does it."""

    given: list[str] = field(default_factory=list)
    shutting_down: bool = False
    gateway: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(id="gw"))

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.given += [TESTS[index] for index in indices]

    def shutdown(self) -> None:
        self.shutting_down = True

    __hash__ = object.__hash__


TESTS = [
    *("tests/unit/test_a.py::test_a", "tests/unit/test_a.py::test_b"),
    *(f"tests/package/test_fresh_machine.py::test_a[{suite}]" for suite in ("bookworm", "trixie")),
    "tests/package/test_a.py::test_a",
]
FRESH = TESTS[2:4]


def test_no_group_waits_behind_a_long_test() -> None:
    """A worker is given the next group for its last test, without which it would not begin that."""
    config = SimpleNamespace(getvalue=lambda _: ["2*popen"])
    scheduling = Scheduling(config, SimpleNamespace(loadscopesched=lambda *_: None))
    workers = Worker(), Worker()
    for worker in workers:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, TESTS)
    scheduling.schedule()
    assert [worker.given for worker in workers] == [FRESH, [TESTS[4], *TESTS[:2]]]
    assert all(worker.shutting_down for worker in workers)


def test_each_kind_of_test_and_each_that_is_alone_is_there(request: pytest.FixtureRequest) -> None:
    top = request.config.rootpath
    kinds = {f"tests/{path.parent.name}/" for path in top.glob("tests/*/test_*.py")}
    assert kinds == {place for place in FIRST if place.endswith("/")}
    assert [place for place in ALONE if not (top / place).exists()] == []


def test_the_time_of_each_kind_is_summed_up() -> None:
    times = Times()
    for nodeid, when, seconds in (
        ("tests/tree/test_a.py::test_b", "setup", 20.0),
        ("tests/tree/test_a.py::test_b", "call", 1.5),
        ("tests/unit/test_a.py::test_b", "setup", 0.0),
        ("tests/unit/test_a.py::test_b", "call", 0.5),
        ("tests/unit/test_a.py::test_c", "setup", 0.5),
    ):
        where = ("", 0, "")
        report = pytest.TestReport(nodeid, where, {}, "passed", None, when, duration=seconds)  # type: ignore[arg-type]
        times.add(report)
    assert [line.split() for line in times.lines()] == [
        ["tree", "1", "tests", "21.5", "s"],
        ["unit", "2", "tests", "1.0", "s"],
    ]


def test_a_test_elsewhere_has_no_kind() -> None:
    assert kind("test_a.py::test_b/c/d") == ""


LEFT_OUT = """
import pytest
@pytest.fixture
def skipping(): pytest.skip("here")
@pytest.fixture
def skipping_at_its_end():
    yield
    pytest.skip("here")
def test_that_runs(): pass
@pytest.mark.skip(reason="here")
def test_marked(): pass
def test_that_skips(): pytest.skip("here")
def test_whose_fixture_skips(skipping): pass
def test_whose_fixture_skips_at_its_end(skipping_at_its_end): pass
@pytest.mark.parametrize("row", [])
def test_without_rows(row): pass
@pytest.mark.xfail(reason="here")
def test_that_may_fail(): assert False
@pytest.mark.xfail(reason="here")
def test_that_may_fail_and_does_not(): pass
"""


def results(tests: Path, *options: str) -> tuple[int, set[str]]:
    """The exit code of a run of a directory's tests as the project runs its own; what it says of
    each.
    """
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tests,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{CHECKOUT}:{tests}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    lines = done.stdout.partition("short test summary info")[2].splitlines()
    said = {line.partition(" - ")[0] for line in lines if line.startswith(tuple("PFEXS"))}
    return done.returncode, {line.replace("test_a.py::", "") for line in said}


def test_a_test_that_is_left_out_has_failed(tmp_path: Path) -> None:
    """Whatever leaves it out, and in a worker too."""
    (tmp_path / "test_a.py").write_text(LEFT_OUT)
    code, said = results(tmp_path, "--dist=loadscope", f"--tx=2*popen//python={PYTHON}")
    assert code == 1
    assert said == {
        "PASSED test_that_runs",
        "ERROR test_marked",
        "FAILED test_that_skips",
        "ERROR test_whose_fixture_skips",
        "PASSED test_whose_fixture_skips_at_its_end",
        "ERROR test_whose_fixture_skips_at_its_end",
        "ERROR test_without_rows[row0]",
        "FAILED test_that_may_fail",
        "FAILED test_that_may_fail_and_does_not",
    }


def test_a_module_that_is_left_out_has_failed(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    assert results(tmp_path, "-n0") == (2, {"ERROR test_a.py"})


LOSING = """
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if "lost" in item.name else None
"""


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-n0",), id="one-process"),
        pytest.param(("--dist=loadscope", f"--tx=2*popen//python={PYTHON}"), id="workers"),
    ],
)
def test_a_test_of_which_nobody_tells_has_failed(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "losing.py").write_text(LOSING)
    (tmp_path / "test_a.py").write_text("def test_that_runs(): pass\ndef test_lost(): pass\n")
    assert results(tmp_path, *options, "-p", "losing") == (1, {"PASSED test_that_runs"})
    assert results(tmp_path, *options, "-p", "losing", "-k", "runs")[0] == 0
    assert results(tmp_path, *options, "-p", "losing", "--collect-only")[0] == 0
