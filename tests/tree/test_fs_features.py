# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of features beside GRUB's own drivers, of several releases: both read and refuse the
same file systems.
"""

import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from guest_hooks.formats import fs_features
from tests.support import grub_versions, images

FILE = "boot/grub/grub.cfg"
WORDS = "menuentry one {}\n"
SUITES = ("trixie", "sid")
BITS = range(32)
META_BG = 0x10
"""ext4's: says where the group descriptors are, which are elsewhere in this file system."""


@dataclass(frozen=True, slots=True)
class Grub:
    """One release's drivers: its version and its grub-fstest."""

    version: str
    fstest: tuple[str, ...]

    def reads(self, image: Path) -> bool:
        """Whether they read a file in this image."""
        command = [*self.fstest, str(image), "cat", f"(loop0)/{FILE}"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return done.stdout == WORDS.encode()


@pytest.fixture(scope="module")
def grubs() -> tuple[Grub, ...]:
    said = subprocess.run(
        ["grub-fstest", "--version"], capture_output=True, check=True, text=True
    ).stdout
    others = [grub_versions.of(suite) for suite in SUITES]
    installed = Grub(version=said.split()[-1], fstest=("grub-fstest",))
    return installed, *(Grub(version=grub.version, fstest=grub.fstest) for grub in others)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the feature bits are that forbid reading: GRUB compares no others."""

    at: int
    layout: str


PLACES = {"ext4": Place(0x460, "<I"), "xfs": Place(216, ">I")}


@pytest.fixture(scope="module", params=list(PLACES))
def plain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, Path]]:
    """An image with a file in it, without a feature of the table's."""
    fs_type: str = request.param
    with images.disk(tmp_path_factory.mktemp(fs_type), fs_type, keep=True) as disk:
        (disk.top / FILE).parent.mkdir(parents=True)
        (disk.top / FILE).write_text(WORDS)
    yield PLACES[fs_type], disk.root.image
    disk.root.image.unlink()


def head(image: Path) -> bytes:
    with image.open("rb") as file:
        return file.read(fs_features.SIZE)


def test_every_bit_of_a_superblock(plain: tuple[Place, Path], grubs: Sequence[Grub]) -> None:
    place, image = plain
    assert fs_features.features(head(image)) == ()
    with image.open("r+b", buffering=0) as file:
        file.seek(place.at)
        (before,) = struct.unpack(place.layout, file.read(4))
        for bit in (bit for bit in BITS if (place, 1 << bit) != (PLACES["ext4"], META_BG)):
            file.seek(place.at)
            file.write(struct.pack(place.layout, before | 1 << bit))
            found = fs_features.features(head(image))
            for grub in grubs:
                refused = fs_features.unreadable(found, grub.version)
                assert grub.reads(image) is not bool(refused), (hex(1 << bit), grub.version)
        file.seek(place.at)
        file.write(struct.pack(place.layout, before))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="defaults"),
        pytest.param(("-O", "metadata_csum_seed,orphan_file"), id="trixie-s-defaults"),
        pytest.param(("-O", "large_dir"), id="large_dir"),
        pytest.param(("-O", "inline_data"), id="inline_data"),
        pytest.param(("-O", "ea_inode"), id="ea_inode"),
        pytest.param(("-O", "bigalloc"), id="bigalloc"),
        pytest.param(("-O", "casefold"), id="casefold"),
        pytest.param(("-O", "encrypt,verity,project,quota"), id="those-that-grub-reads"),
    ],
)
def test_ext4_as_mkfs_makes_it(
    tmp_path: Path, grubs: Sequence[Grub], options: Sequence[str]
) -> None:
    """With what a feature changes on the disk, and not its bit alone."""
    content, image = tmp_path / "content", tmp_path / "disk.img"
    (content / FILE).parent.mkdir(parents=True)
    (content / FILE).write_text(WORDS)
    command = ["mkfs.ext4", "-q", "-F", *options, "-d", str(content), str(image), "40M"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    found = fs_features.features(head(image))
    for grub in grubs:
        assert grub.reads(image) is not bool(fs_features.unreadable(found, grub.version)), (
            grub.version
        )
