# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of damage gets its verdict, `sync` mends all but what is not ours."""

import os
import shutil
from pathlib import Path

import pytest

from guest_hooks.cli.verbs.run_sync import UNCHANGED
from guest_hooks.machine import space
from guest_hooks.machine.root import Root
from guest_hooks.targets import TARGETS
from tests.support import images, kernels
from tests.support.file_damage import (
    Damage,
    add_bytes,
    copied_from,
    damage,
    directory_with_a_file,
    flip,
    in_a_module,
    in_the_kernel,
    replaced_by,
    truncate,
)
from tests.support.outside_guest import FILES, OutsideGuest

PV, PV32, PVH = TARGETS
PV_FILE = FILES[PV][0]

pytestmark = pytest.mark.usefixtures("as_it_should_be")


DAMAGES = [
    pytest.param(PV, damage(PV_FILE, Path.unlink), "missing", {"missing"}, id="deleted"),
    pytest.param(PV, damage(PV_FILE, truncate(0)), "invalid", {"not-elf"}, id="emptied"),
    pytest.param(PV, damage(PV_FILE, truncate(700_000)), "invalid", {"truncated"}, id="cut-off"),
    pytest.param(
        PV,
        damage(PV_FILE, lambda path: path.write_bytes(bytes(4096))),
        "invalid",
        set(),
        id="zeros",
    ),
    pytest.param(
        PV,
        damage(PV_FILE, copied_from("pvboot-i386.elf")),
        "invalid",
        {"class-mismatch"},
        id="wrong-width",
    ),
    pytest.param(
        PV32,
        damage("pvboot-i386.elf", copied_from("pvhboot-i386.elf")),
        "invalid",
        {"pvh-image"},
        id="pvh-for-pv",
    ),
    pytest.param(
        PVH,
        damage("pvhboot-i386.elf", copied_from("pvboot-i386.elf")),
        "invalid",
        {"note-missing"},
        id="pv-for-pvh",
    ),
    pytest.param(
        PV, damage(PV_FILE, flip(in_a_module)), "stale", {"modules-differ"}, id="bit-in-a-module"
    ),
    pytest.param(
        PV, damage(PV_FILE, flip(in_the_kernel)), "stale", {"grub-differs"}, id="bit-in-the-kernel"
    ),
    pytest.param(
        PV,
        damage(PV_FILE, replaced_by(lambda path: path.symlink_to("nowhere"))),
        "invalid",
        {"unreadable"},
        id="dangling-link",
    ),
    pytest.param(
        PV,
        damage(PV_FILE, replaced_by(lambda path: path.symlink_to("../grub/x86_64-xen/core.elf"))),
        "invalid",
        {"unreadable"},
        id="link-to-the-right-bytes",
    ),
    pytest.param(PV, damage(PV_FILE, replaced_by(os.mkfifo)), "invalid", {"unreadable"}, id="fifo"),
    pytest.param(
        PV,
        damage(PV_FILE, replaced_by(Path.mkdir)),
        "invalid",
        {"unreadable"},
        id="empty-directory",
    ),
    pytest.param(
        PV,
        damage(PV_FILE, replaced_by(directory_with_a_file)),
        "invalid",
        {"unreadable"},
        id="directory-with-a-file",
    ),
    pytest.param(
        PVH, damage("pvhboot-x86_64.elf", Path.unlink), "stale", {"missing"}, id="pvh-copy-deleted"
    ),
    pytest.param(
        PVH,
        damage("pvhboot-x86_64.elf", truncate(5000)),
        "stale",
        {"truncated"},
        id="pvh-copy-cut-off",
    ),
    pytest.param(
        PVH, damage("pvhboot-i386.linux", Path.unlink), "stale", {"missing"}, id="bridge-deleted"
    ),
    pytest.param(
        PVH,
        damage("pvhboot-i386.linux", truncate(400_000)),
        "stale",
        {"bridge-damaged"},
        id="bridge-cut-off",
    ),
    pytest.param(
        PVH,
        damage("pvhboot-i386.linux", copied_from("pvhboot-i386.elf")),
        "stale",
        {"not-a-bridge"},
        id="core-as-bridge",
    ),
    pytest.param(
        PV,
        add_bytes("/boot/grub/x86_64-xen/hexdump.mod"),
        "stale",
        {"module-dir-differs"},
        id="module-beside-changed",
    ),
    pytest.param(
        PV,
        lambda tree: tree.path("/boot/grub/x86_64-xen/normal.mod").unlink(),
        "stale",
        {"module-dir-differs"},
        id="module-deleted",
    ),
    pytest.param(
        PV,
        lambda tree: shutil.rmtree(tree.path("/boot/grub/x86_64-xen")),
        "stale",
        {"module-dir-differs", "core-image-differs"},
        id="module-directory-deleted",
    ),
    pytest.param(
        PV,
        lambda tree: tree.path("/boot/grub/x86_64-xen/core.elf").unlink(),
        "stale",
        {"core-image-differs"},
        id="core-elf-deleted",
    ),
]


@pytest.mark.parametrize(("target", "work", "state", "codes"), DAMAGES)
def test_damage_has_its_verdict_and_is_mended(
    tree: OutsideGuest, target: str, work: Damage, state: str, codes: set[str]
) -> None:
    good = {name: tree.boot_xen(name).read_bytes() for names in FILES.values() for name in names}
    work(tree)
    found = tree.status(target, code=3)
    assert found.states()[target] == state
    assert codes <= set(found.codes()[target])
    assert all(
        problem["message"] and problem["hint"]
        for row in found.json["targets"]
        for problem in row["problems"]
    )
    mended = tree.sync()
    assert mended.states() == dict.fromkeys(TARGETS, "current")
    assert {change["path"] for change in mended.json["changed"]} != set()
    for name, data in good.items():
        path = tree.boot_xen(name)
        assert not path.is_symlink()
        assert path.read_bytes() == data


def test_a_directory_with_files_is_moved_aside(tree: OutsideGuest) -> None:
    replaced_by(directory_with_a_file)(tree.boot_xen(PV_FILE))
    tree.sync(f"--target={PV}")
    aside = tree.boot_xen(f"{PV_FILE}.moved-aside")
    assert (aside / "somebody's").read_text() == "x"
    shutil.rmtree(aside)


def test_another_uuid(tree: OutsideGuest) -> None:
    """A clone gets another UUID."""
    uuid = "11111111-2222-4333-8444-555555555555"
    images.tool("umount", str(tree.top))
    try:
        images.tool("e2fsck", "-fy", tree.disk.root.device)
        images.tool("tune2fs", "-U", uuid, tree.disk.root.device)
    finally:
        images.tool("mount", tree.disk.root.device, str(tree.top))
    found = tree.status(code=3)
    assert all("uuid-mismatch" in codes for codes in found.codes().values())
    assert set(found.states().values()) == {"stale"}
    mended = tree.sync()
    assert {row["fs_uuid"] for row in mended.json["targets"]} == {uuid}
    assert tree.disk.grub_cat(f"/boot/xen/{PV_FILE}") == tree.boot_xen(PV_FILE).read_bytes()


def test_force_builds_what_is_current_and_comes_to_the_same(
    tree: OutsideGuest, tmp_path: Path
) -> None:
    before = tree.boot_xen(PV_FILE).read_bytes()
    quiet = tree.run(
        "sync",
        "--no-update-grub",
        f"--target={PV}",
        prefix=["strace", "-f", "-qq", "-e", "execve", "-o", str(tmp_path / "plain")],
    )
    forced = tree.run(
        "sync",
        "--no-update-grub",
        "--force",
        f"--target={PV}",
        prefix=["strace", "-f", "-qq", "-e", "execve", "-o", str(tmp_path / "forced")],
    )
    assert quiet.stdout == f"{UNCHANGED}\n"
    assert forced.code == 0
    assert "grub-install" not in (tmp_path / "plain").read_text()
    assert "grub-install" in (tmp_path / "forced").read_text()
    assert tree.boot_xen(PV_FILE).read_bytes() == before


def test_what_keeps_its_bytes_keeps_its_inode(tree: OutsideGuest) -> None:
    """A second stage that is right is not written again because another one is wrong."""
    before = tree.boot_xen("pvboot-i386.elf").stat()
    tree.boot_xen(PV_FILE).unlink()
    tree.sync()
    assert tree.boot_xen("pvboot-i386.elf").stat().st_ino == before.st_ino


def test_other_files_in_boot_are_left_alone(tree: OutsideGuest) -> None:
    theirs = [
        "/boot/xen/README",
        "/boot/grub/x86_64-xen/admin.cfg",
        "/boot/grub/custom.cfg",
        "/boot/grub/grubenv",
    ]
    for path in theirs:
        if not tree.path(path).exists():
            tree.path(path).write_text(path)
    before = {path: tree.path(path).read_bytes() for path in theirs}
    shutil.copy(tree.boot_xen("pvboot-i386.elf"), tree.boot_xen(PV_FILE))
    tree.path("/boot/grub/x86_64-xen/normal.mod").unlink()
    tree.sync()
    assert {path: tree.path(path).read_bytes() for path in theirs} == before


def test_what_is_left_free_for_a_second_stage_is_a_copy_s_when_it_stands(
    tree: OutsideGuest,
) -> None:
    """A kernel's copy is made first, beside the room for second stages."""
    kernel, filler = tree.path("/boot/vmlinuz-9.9"), tree.path("/filler")
    copy = tree.boot_xen("vmlinux-9.9.gz")
    kernel.write_bytes(kernels.bzimage(kernels.vmlinux(release="9.9"), "zstd", release="9.9"))
    tree.boot_xen(PV_FILE).unlink()
    left = space.free(Root(str(tree.top)), "/boot") - 10 * images.MIB
    images.tool("fallocate", "--length", str(left), str(filler))
    try:
        made = [change["path"] for change in tree.sync(f"--target={PV}").json["changed"]]
        assert made == [f"/boot/xen/{name}" for name in (PV_FILE, copy.name)]
        assert kernels.pv_fault(copy.read_bytes()) == ""
    finally:
        filler.unlink()
        kernel.unlink()
        copy.unlink(missing_ok=True)
