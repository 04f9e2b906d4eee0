# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees that several modules share; a module's own fixture of the same name comes first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.targets import TARGETS
from tests.support import images
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import Suite
from tests.support.outside_guest import CHEAP, OutsideGuest, live_guest, outside_guest, verb


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    """A tree with every target's second stage, looked at from outside."""
    with outside_guest(tmp_path_factory.mktemp("verdicts"), Suite.BOOKWORM) as tree:
        tree.run("sync", *(f"--target={name}" for name in TARGETS))
        yield tree


@pytest.fixture
def as_it_should_be(tree: OutsideGuest) -> Iterator[None]:
    """Each test begins and ends with a tree in which all is current."""
    yield
    tree.sync("--adopt")
    assert set(tree.status().states().values()) == {"current"}


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChrootGuest]:
    with live_guest(Suite.BOOKWORM, tmp_path_factory.mktemp("live")) as guest:
        verb(guest, "sync")
        yield guest


@pytest.fixture
def settled(guest: ChrootGuest) -> ChrootGuest:
    """The guest as a sync that found nothing to do leaves it."""
    guest.platform = Platform.PV
    verb(guest, "sync")
    assert verb(guest, "sync").stdout == CHEAP
    return guest


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[images.Disk]:
    """An empty disk of each file system that may hold /boot."""
    with images.disk(tmp_path, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Disk]:
    """A small disk whose UUID can change while it is mounted."""
    with images.disk(tmp_path_factory.mktemp("basis"), "ext4", size=64 * images.MIB) as disk:
        images.tool("tune2fs", "-O", "metadata_csum_seed", disk.root.device)
        for name in ("boot/grub", "other"):
            (disk.top / name).mkdir(parents=True)
        yield disk
