# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of both releases with the package installed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest, Platform, copied, guest
from tests.support.debian_tree import SUITES, Kind, Suite
from tests.support.once import made_once, shared_directory

MakeGuest = Callable[..., ChrootGuest]
ImageOf = Callable[..., Path]


@pytest.fixture(params=SUITES, ids=str)
def suite(request: pytest.FixtureRequest) -> Suite:
    """Each release in turn."""
    found: Suite = request.param
    return found


@pytest.fixture(scope="session")
def newer_deb(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under a later version, to upgrade to."""
    return debian_package.repacked(deb, tmp_path_factory.mktemp("newer"), version="9.0")


@pytest.fixture(scope="session")
def image_of(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageOf:
    """The disk's image of a PV guest of a release, before the package or just after; each is
    made once a run.
    """

    def image(suite: Suite, *, with_package: bool) -> Path:
        def make(directory: Path) -> None:
            with guest(suite, Kind.FULL, directory, keep=True) as made:
                if with_package:
                    install(made, deb)

        name = f"{suite}-installed" if with_package else f"{suite}-fresh"
        return made_once(shared_directory(tmp_path_factory) / name, make) / "disk.img"

    return image


@pytest.fixture
def make_guest(suite: Suite, image_of: ImageOf, tmp_path: Path) -> Iterator[MakeGuest]:
    """Make a guest of the release: `make_guest(platform=…, boot=…)`, or one on which the
    package was just installed.
    """
    with ExitStack() as stack:

        def make(
            *, platform: Platform = Platform.PV, boot: str = "", with_package: bool = False
        ) -> ChrootGuest:
            work = tmp_path / f"guest-{platform}"
            if boot:
                return stack.enter_context(
                    guest(suite, Kind.FULL, work, platform=platform, boot=boot)
                )
            return stack.enter_context(
                copied(image_of(suite, with_package=with_package), suite, work, platform=platform)
            )

        yield make


@pytest.fixture
def pv_guest(make_guest: MakeGuest) -> ChrootGuest:
    """A PV guest on which the package was just installed."""
    return make_guest(with_package=True)


def install(made: ChrootGuest, deb: Path, *options: str) -> str:
    """Install a .deb of ours with dpkg; what it said."""
    target = made.path(f"/root/{deb.name}")
    target.write_bytes(deb.read_bytes())
    done = made.run("dpkg", *options, "--install", f"/root/{deb.name}")
    target.unlink()
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def shared_guests(
    image_of: ImageOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Suite], ChrootGuest]]:
    """PV guests with the package, one a release, for the tests of a module that leave them as
    they were.
    """
    made: dict[Suite, ChrootGuest] = {}
    with ExitStack() as stack:

        def get(suite: Suite) -> ChrootGuest:
            if suite not in made:
                work = tmp_path_factory.mktemp(f"shared-{suite}")
                made[suite] = stack.enter_context(
                    copied(image_of(suite, with_package=True), suite, work)
                )
            return made[suite]

        yield get


@pytest.fixture
def shared_guest(suite: Suite, shared_guests: Callable[[Suite], ChrootGuest]) -> ChrootGuest:
    """The release's shared guest, a PV one."""
    found = shared_guests(suite)
    found.platform = Platform.PV
    return found
