# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file system has room for, on real ones that are full."""

from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import durable, space
from guest_hooks.machine.root import Root
from tests.support import images
from tests.tree.test_durable import OLD, PATH, install


def test_a_full_disk_keeps_the_old_file_and_says_need_and_have(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    install(root, PATH, OLD)
    too_much = space.free(root, PATH) + images.MIB
    with pytest.raises(
        LackingError,
        match=rf"{PATH}.*No space left on device; it needs .*, and [\d.]+ [KMGT]?i?B",
    ):
        durable.replace(root, PATH, bytes(too_much))
    assert (disk.top / PATH[1:]).read_bytes() == OLD
    assert root.names("/boot/xen") == ("pvboot-x86_64.elf",)


def test_what_free_space_promises_can_be_written(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    durable.replace(root, "/large", bytes(space.free(root, "/") - 4 * images.MIB))
    with pytest.raises(
        LackingError, match=r"/new has no room: it needs [\d.]+ .?i?B, and [\d.]+ .?i?B are free"
    ):
        space.require(root, "/new", 64 * images.MIB)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_small_file_system_can_be_filled_to_what_was_promised(tmp_path: Path, size: int) -> None:
    with images.disk(tmp_path, "ext4", size=size * images.MIB) as disk:
        root = Root(str(disk.top))
        durable.replace(root, "/large", bytes(space.free(root, "/") - 12 * 1024))


def test_no_inode_is_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(images.MKFS, "ext4", [*images.MKFS["ext4"], "-N", "16"])
    with images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk:
        for number in range(4096):
            if space.free(Root(str(disk.top)), "/"):
                (disk.top / str(number)).touch()
        assert space.free(Root(str(disk.top)), "/") == 0
        with pytest.raises(LackingError, match="0 inodes are free"):
            durable.replace(Root(str(disk.top)), "/new", b"x")
