# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB reads after a power cut, on real file systems."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import durable
from guest_hooks.machine.barrier import LATE, barrier
from guest_hooks.machine.reach import is_roots_alone
from guest_hooks.machine.root import Root
from guest_hooks.model import Problem
from tests.support import freezing, images, loops
from tests.support.other_users import NOBODY, writing_user

OLD = b"old second stage " * 40_000
NEW = b"new second stage " * 50_000
PATH = "/boot/xen/pvboot-x86_64.elf"


def install(root: Root, path: str, data: bytes) -> None:
    durable.make_dirs(root, path.rpartition("/")[0])
    durable.replace(root, path, data)
    assert barrier(root, path) is None


def test_grub_reads_the_new_bytes_after_the_barrier_and_not_before(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    durable.make_dirs(root, "/boot/xen")
    durable.replace(root, PATH, OLD)
    assert disk.grub_cat(PATH) is None
    assert barrier(root, PATH) is None
    assert disk.grub_cat(PATH) == OLD

    durable.replace(root, PATH, NEW)
    assert disk.grub_cat(PATH) == OLD
    assert barrier(root, PATH) is None
    assert disk.grub_cat(PATH) == NEW


def test_grub_finds_none_of_what_was_removed(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    install(root, PATH, OLD)
    install(root, f"{PATH}.other", NEW)
    assert durable.remove_all(root, [PATH, "/boot/xen/never-there"]) == ()
    copy = disk.copy()
    assert (copy.cat(PATH), copy.cat(f"{PATH}.other")) == (None, NEW)
    assert root.names("/boot/xen") == ("pvboot-x86_64.elf.other",)


@pytest.mark.parametrize(
    ("fs_type", "table", "boot"),
    [
        pytest.param("ext4", "mbr", "", id="mbr"),
        pytest.param("xfs", "gpt", "", id="gpt"),
        pytest.param("ext4", "gpt", "xfs", id="gpt-own-boot"),
        pytest.param("btrfs", "", "ext4", id="own-boot-disk"),
    ],
)
def test_the_barrier_is_that_of_the_file_system_that_holds_boot(
    tmp_path: Path, fs_type: str, table: str, boot: str
) -> None:
    with images.disk(tmp_path, fs_type, table=table, boot=boot) as disk:
        install(Root(str(disk.top)), PATH, OLD)
        assert disk.grub_cat(PATH) == OLD


def test_ext4_without_a_journal_needs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(images.MKFS, "ext4", [*images.MKFS["ext4"], "-O", "^has_journal"])
    with images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk:
        install(Root(str(disk.top)), PATH, OLD)
        assert disk.grub_cat(PATH) == OLD


def test_where_the_kernel_cannot_checkpoint_ext4_is_frozen_if_root_alone_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "guest_hooks.machine.barrier.EXT4_IOC_CHECKPOINT", 0x4004667F
    )  # a number ext4 does not know: ENOTTY
    with images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk:
        root = Root(str(disk.top))
        with writing_user(disk.top):
            problem = barrier(root, "/")
        assert problem is not None
        assert problem.code == "barrier-unknown"
        disk.top.chmod(0o700)
        install(root, PATH, OLD)
        assert disk.grub_cat(PATH) == OLD


def test_late_before_the_new_name_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with images.disk(tmp_path, "xfs", is_closed=False) as disk:
        root = Root(str(disk.top))
        durable.make_dirs(root, "/boot/xen")
        durable.replace(root, PATH, OLD)
        monkeypatch.setattr(
            "guest_hooks.machine.xfs_log.wait_until_in_place", lambda _fd, _timeout: False
        )
        with pytest.raises(NotRepairedError, match=r"nothing was replaced: .* only in its log"):
            durable.replace_all(root, {PATH: NEW})
        assert root.read(PATH) == OLD
        assert root.names("/boot/xen") == ("pvboot-x86_64.elf",)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: durable.replace_all(root, {PATH: NEW}), id="replaced"),
        pytest.param(lambda root: durable.remove_all(root, [PATH]), id="removed"),
    ],
)
def test_late_after_it_the_old_file_keeps_a_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Root], tuple[Problem, ...]]
) -> None:
    with images.disk(tmp_path, "xfs", is_closed=False) as disk:
        root = Root(str(disk.top))
        durable.make_dirs(root, "/boot/xen")
        durable.replace(root, PATH, OLD)
        monkeypatch.setattr("guest_hooks.machine.settling.settle", lambda _root, _path: None)
        monkeypatch.setattr(
            "guest_hooks.machine.xfs_log.wait_until_in_place", lambda _fd, _timeout: False
        )
        assert [problem.code for problem in change(root)] == [LATE]
        kept = [
            name for name in root.names("/boot/xen") if name.startswith(".xen-guest-bootloader-")
        ]
        assert [root.read(f"/boot/xen/{name}") for name in kept] == [OLD]
        assert durable.sweep(root, "/boot/xen") == ()
        assert set(kept) <= set(root.names("/boot/xen"))
        monkeypatch.undo()
        disk.top.chmod(0o700)
        assert durable.sweep(root, "/boot/xen") == tuple(kept)
        assert not set(kept) & set(root.names("/boot/xen"))


def test_root_alone_reaches_what_is_closed_at_its_top(tmp_path: Path) -> None:
    with images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk:
        device = disk.top.stat().st_dev
        found = {}
        for mode in (0o755, 0o711, 0o750, 0o701, 0o700):
            disk.top.chmod(mode)
            found[mode] = is_roots_alone(device)
        assert found == {0o755: False, 0o711: False, 0o750: False, 0o701: False, 0o700: True}
        os.chown(disk.top, NOBODY, 0)
        assert not is_roots_alone(device)
        os.chown(disk.top, 0, 0)
        (disk.top / "inner").mkdir()
        (tmp_path / "elsewhere").mkdir()
        images.tool("mount", "--bind", str(disk.top / "inner"), str(tmp_path / "elsewhere"))
        try:
            assert not is_roots_alone(device)
        finally:
            images.tool("umount", str(tmp_path / "elsewhere"))
        assert is_roots_alone(device)


def test_an_exchanged_directory_is_whole_for_grub(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    install(root, "/boot/grub/x86_64-xen/normal.mod", OLD)
    (disk.top / "boot/grub/.staged").mkdir()
    (disk.top / "boot/grub/.staged/normal.mod").write_bytes(NEW)
    durable.exchange_dir(root, "/boot/grub/.staged", "/boot/grub/x86_64-xen")
    assert barrier(root, "/boot/grub") is None
    copy = disk.copy()
    assert (
        copy.cat("/boot/grub/x86_64-xen/normal.mod"),
        copy.cat("/boot/grub/.staged/normal.mod"),
    ) == (NEW, OLD)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs"])
def test_an_exchanged_directory_is_whole_after_a_power_cut(tmp_path: Path, fs_type: str) -> None:
    with images.disk(tmp_path, fs_type) as disk:
        root = Root(str(disk.top))
        install(root, "/boot/modules/normal.mod", OLD)
        (disk.top / "boot/staged").mkdir()
        (disk.top / "boot/staged/normal.mod").write_bytes(NEW)
        durable.exchange_dir(root, "/boot/staged", "/boot/modules")
        kept = tmp_path.with_name(f"{tmp_path.name}.img")
        shutil.copyfile(disk.copy().boot.image, kept)
    with loops.attached(kept) as device:  # Linux replays the journal
        options = (
            ["-o", "nouuid"] if fs_type == "xfs" else []
        )  # the disk it is a copy of may not have let go yet
        disk.top.mkdir(parents=True, exist_ok=True)
        images.tool("mount", *options, device, str(disk.top))
        try:
            assert (disk.top / "boot/modules/normal.mod").read_bytes() == NEW
            assert (disk.top / "boot/staged/normal.mod").read_bytes() == OLD
        finally:
            images.tool("umount", str(disk.top))
            kept.unlink()


def test_a_read_only_file_system_is_named_as_such(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    install(root, PATH, OLD)
    images.tool("mount", "-o", "remount,ro", str(disk.top))
    with pytest.raises(LackingError, match=f"{PATH} could not be replaced: Read-only file system"):
        durable.replace(root, PATH, NEW)


def test_a_tree_is_not_removed_across_a_mount(disk: images.Disk) -> None:
    root = Root(str(disk.top))
    inner = disk.top / "staging/inner"
    inner.mkdir(parents=True)
    images.tool("mount", "-t", "tmpfs", "tmpfs", str(inner))
    (inner / "kept").touch()
    with pytest.raises(NotRepairedError, match="another file system is mounted there"):
        durable.remove_tree(root, "/staging")
    assert (inner / "kept").exists()


def test_a_mount_point_in_the_way_is_told(disk: images.Disk) -> None:
    (disk.top / "file").touch()
    (disk.top / "other").write_bytes(OLD)
    images.tool("mount", "--bind", str(disk.top / "other"), str(disk.top / "file"))
    with pytest.raises(NotRepairedError, match="Device or resource busy"):
        durable.replace(Root(str(disk.top)), "/file", NEW)
    assert (disk.top / "other").read_bytes() == OLD


def test_the_barrier_leaves_another_ones_freeze_alone(tmp_path: Path) -> None:
    with images.disk(tmp_path, "xfs") as disk:
        freezing.freeze(disk.top)
        with pytest.raises(NotRepairedError, match="something else holds it frozen"):
            barrier(Root(str(disk.top)), "/", timeout=0.3)
        assert freezing.thaw(disk.top)


def test_without_the_right_to_freeze_there_is_a_warning(tmp_path: Path) -> None:
    with images.disk(tmp_path, "xfs") as disk:
        code = (
            "from guest_hooks.machine.barrier import barrier; from guest_hooks.machine.root import"
            f" Root; print(barrier(Root({str(disk.top)!r}), '/').code)"
        )
        command = ["setpriv", "--bounding-set", "-sys_admin", "/usr/bin/python3", "-c", code]
        assert (
            subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
            == "barrier-refused\n"
        )
