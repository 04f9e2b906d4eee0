# SPDX-License-Identifier: GPL-3.0-or-later
"""What can happen to a file of a guest's /boot."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.support import second_stages
from tests.support.outside_guest import OutsideGuest

Damage = Callable[[OutsideGuest], object]


def damage(name: str, work: Callable[[Path], object]) -> Damage:
    """Do `work` to a file of /boot/xen."""
    return lambda tree: work(tree.boot_xen(name))


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        path.unlink()
        make(path)

    return work


def truncate(size: int) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, size)


def flip(at: Callable[[bytes], int]) -> Callable[[Path], None]:
    """Turn one bit."""

    def work(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at(bytes(data))] ^= 1
        path.write_bytes(data)

    return work


def in_a_module(image: bytes) -> int:
    return second_stages.object_at(image, 0) + 200


def in_the_kernel(image: bytes) -> int:
    return image.index(b"grub rescue> ")


def copied_from(name: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.with_name(name).read_bytes())


def directory_with_a_file(path: Path) -> None:
    path.mkdir()
    (path / "somebody's").write_text("x")


def add_bytes(path: str) -> Damage:
    def work(tree: OutsideGuest) -> None:
        with tree.path(path).open("ab") as file:
            file.write(b"\0")

    return work
