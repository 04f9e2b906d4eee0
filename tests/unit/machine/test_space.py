# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes room, where there is none."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import space
from guest_hooks.machine.root import Root


def statvfs(*, inodes: int) -> os.statvfs_result:
    """Of a file system with 4 GiB free, and so many inodes of a hundred."""
    return os.statvfs_result((4096, 4096, 2**21, 2**20, 2**20, 100, inodes, inodes, 0, 255))


@pytest.mark.parametrize(
    ("root", "path", "hint"),
    [
        (Root(), "/boot/xen", "{kernels}see: df /boot/xen"),
        (Root(), "/run", "make room: df /run"),
        (Root("/mnt"), "/boot/xen", "make room: df /mnt/boot/xen"),
        (Root("/my guest"), "/boot/xen", "make room: df '/my guest/boot/xen'"),
    ],
)
def test_what_makes_room(root: Root, path: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "free", lambda _root, _path: 0)
    monkeypatch.setattr(space, "open_directory", lambda _root, _path: nullcontext(0))
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: statvfs(inodes=1))
    with pytest.raises(LackingError, match="has no room") as raised:
        space.require(root, path, 1)
    assert raised.value.hint == hint.format(kernels=space.OLD_KERNELS)


def test_that_inodes_are_lacking_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: statvfs(inodes=0))
    with pytest.raises(LackingError, match="no inode is free") as raised:
        space.require(Root(str(tmp_path)), "/", 1)
    assert raised.value.hint.endswith(f"df --inodes {tmp_path}/")
