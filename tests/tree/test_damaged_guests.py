# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian guests, damaged and unusual: preflight finds what was done to each, and no word more."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import guest_tables, xen_guest
from tests.support.chroot_guest import ChrootGuest
from tests.support.damaged_debian import ROWS
from tests.support.debian_damage import PV, PVH, Guest, Row, put_back_modules
from tests.support.debian_layouts import OTHER_KERNELS, Layout, debian
from tests.support.debian_tree import Suite
from tests.support.outside_guest import OutsideGuest
from tests.support.unusual_debian import WELL

KEPT = ("boot", "etc")


@dataclass(frozen=True, slots=True)
class Kept:
    """The tree, and a copy of what the damages touch."""

    tree: OutsideGuest
    guest: Guest
    copy: Path

    def put_back(self) -> None:
        """Whatever differs from the copy becomes as it was."""
        put_back_modules(self.guest)
        for name in KEPT:
            whole, here = self.copy / name, self.guest.top / name
            for path in here.rglob("*"):
                if (
                    not (whole / path.relative_to(here)).is_symlink()
                    and not (whole / path.relative_to(here)).exists()
                ):
                    path.rmdir() if path.is_dir() else path.unlink()
            for path in whole.rglob("*"):
                other = here / path.relative_to(whole)
                if path.is_file() and not path.is_symlink() and _facts(path) != _facts(other):
                    if other.is_dir():
                        other.rmdir()
                    other.unlink(missing_ok=True)
                    shutil.copy2(path, other)


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_mode, found.st_size, found.st_mtime_ns)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    directory = tmp_path_factory.mktemp("damaged")

    def prepare(top: Path) -> None:
        for name, text in xen_guest.INITRAMFS.items():
            (top / f"etc/initramfs-tools/{name}").write_text(text)
        for release in OTHER_KERNELS:
            for path in (top / "boot").glob(f"*-{release}"):
                path.unlink()

    with debian(directory, Layout(suite=Suite.BOOKWORM), PV, prepare=prepare) as tree:
        # a small initrd: each row reads it
        ChrootGuest(disk=tree.disk, work=directory, suite=Suite.BOOKWORM).run(
            "update-initramfs", "-u"
        )
        tree.run("sync", f"--target={PV}", f"--target={PVH}")
        (kernel,) = (tree.top / "boot").glob("vmlinuz-*")
        release = kernel.name.removeprefix("vmlinuz-")
        copy = directory / "copy"
        for name in KEPT:
            shutil.copytree(tree.top / name, copy / name, symlinks=True)
        yield Kept(tree, Guest(top=tree.top, release=release, uuid=tree.disk.root.uuid), copy)


@pytest.mark.parametrize("row", [pytest.param(row, id=guest_tables.key(row)) for row in ROWS])
def test_all_that_is_found_is_true(kept: Kept, row: Row, tmp_path: Path) -> None:
    found = looked_at(kept, row, tmp_path)
    assert " ".join(found["codes"]) == row.codes
    assert found["boots"] is row.boots
    assert guest_tables.same_as_written(found)


@pytest.mark.parametrize("row", [pytest.param(row, id=guest_tables.key(row)) for row in WELL])
def test_of_a_healthy_guest_nothing_is_found(kept: Kept, row: Row, tmp_path: Path) -> None:
    found = looked_at(kept, row, tmp_path)
    assert (found["boots"], found["codes"]) == (True, [])


def looked_at(kept: Kept, row: Row, tmp_path: Path) -> dict[str, Any]:
    """What preflight says of the guest while it is as the row has it."""
    (tmp_path / "config.toml").write_text(f"{row.config}\n")
    words = ("preflight", "--json", f"--target={row.target}", f"--config={tmp_path}/config.toml")
    try:
        row.damage(kept.guest)
        answer = kept.tree.run(*words, code=None).json
    finally:
        kept.put_back()
    return guest_tables.damaged(row, answer, kept.guest)
