"""Guests of both releases with the package installed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import debian_package
from tests.support.debian_tree import Kind, Suite
from tests.support.tree_guest import Platform, TreeGuest, guest

MakeGuest = Callable[..., TreeGuest]


@pytest.fixture(params=list(Suite), ids=str)
def suite(request: pytest.FixtureRequest) -> Suite:
    """Each release in turn."""
    found: Suite = request.param
    return found


@pytest.fixture(scope="session")
def newer_deb(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under a later version, to upgrade to."""
    return debian_package.repacked(deb, tmp_path_factory.mktemp("newer"), version="9.0")


@pytest.fixture
def make_guest(suite: Suite, tmp_path: Path) -> Iterator[MakeGuest]:
    """Make a guest of the release: `make_guest(platform=…, boot=…)`."""
    with ExitStack() as stack:

        def make(*, platform: Platform = Platform.PV, boot: str = "") -> TreeGuest:
            return stack.enter_context(guest(suite, Kind.FULL, tmp_path / f"guest-{platform}", platform=platform, boot=boot))

        yield make


@pytest.fixture
def pv_guest(make_guest: MakeGuest, deb: Path) -> TreeGuest:
    """A PV guest on which the package was just installed."""
    made = make_guest()
    install(made, deb)
    return made


def install(made: TreeGuest, deb: Path) -> str:
    """Install a .deb of ours with dpkg; what it said."""
    target = made.path(f"/root/{deb.name}")
    target.write_bytes(deb.read_bytes())
    done = made.run("dpkg", "--install", f"/root/{deb.name}")
    target.unlink()
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def shared_guests(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Suite], TreeGuest]]:
    """PV guests with the package, one a release, for the tests of a module that leave them as they were."""
    made: dict[Suite, TreeGuest] = {}
    with ExitStack() as stack:

        def get(suite: Suite) -> TreeGuest:
            if suite not in made:
                made[suite] = stack.enter_context(guest(suite, Kind.FULL, tmp_path_factory.mktemp(f"shared-{suite}")))
                install(made[suite], deb)
            return made[suite]

        yield get


@pytest.fixture
def shared_guest(suite: Suite, shared_guests: Callable[[Suite], TreeGuest]) -> TreeGuest:
    """The release's shared guest, a PV one."""
    found = shared_guests(suite)
    found.platform = Platform.PV
    return found
