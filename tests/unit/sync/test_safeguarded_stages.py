# SPDX-License-Identifier: GPL-3.0-or-later
"""A second stage that boots is kept from one that does not, by the states of dpkg, of the running
kernel and of /boot's file system.
"""

import os
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Config, Stage1
from guest_hooks.errors import KeptError, NotRepairedError
from guest_hooks.formats import fs_features, pv_kernel
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.receipts import Receipt, TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.model import FileStatus, Guest, Mode, Problem, State, TargetStatus
from guest_hooks.problems.table import TABLE
from guest_hooks.survey import plan, pv_kernels
from guest_hooks.survey.plan import Wanted
from guest_hooks.survey.status import Survey
from guest_hooks.sync import safeguard
from guest_hooks.sync.build import Built
from guest_hooks.targets import TARGETS
from tests.support import boot_tree, pv_menu
from tests.support.boot_tree import NEWEST, UUID, BootTree
from tests.support.surveyed import surveyed
from tests.unit.sync.test_safeguard import status_of, text


def made_of(tree: BootTree, state: State, version: str, *codes: str) -> Built:
    """A second stage of the GRUB `version`, made for a tree in which `state` is what stands."""
    row = TARGETS["x86_64-xen"]
    path = row.path(row.arches[0])

    def status(state: State, version: str, *codes: str) -> TargetStatus:
        return TargetStatus(
            target=row.name,
            required=True,
            state=state,
            files=(FileStatus(path=path, state=state),),
            fs_uuid=UUID,
            grub_version=version,
            problems=tuple(Problem(code=TABLE[code], message=code) for code in codes),
        )

    guest = Guest(mode=Mode.PV, bits=64)
    made = plan.make(Wanted(target=row, required=True), guest, tree.config, tree.boot, {})
    there = surveyed(made, status(state, "2.12-9", *codes))
    return Built(
        there=there,
        status=status(State.CURRENT, version),
        core=b"core",
        files={path: b"core"},
        module_files=None,
    )


def against_replacement(tree: BootTree, made: Built) -> tuple[str, ...]:
    status = replace(status_of(tree), targets=(made.there.status,))
    found = Survey(config=tree.config, targets=(made.there,), status=status)
    root = Root(str(tree.top))
    against = safeguard.replacement(root, found, made, run=tree.disks)
    if against:
        with pytest.raises(KeptError) as caught:
            safeguard.require_replacement(root, found, made, run=tree.disks)
        assert caught.value.path == made.status.path
        assert caught.value.made
        assert "--force" in caught.value.hint
    else:
        safeguard.require_replacement(root, found, made, run=tree.disks)
    return tuple(finding.message for finding in against)


def on_a_disk_with_seed(tree: BootTree) -> None:
    """/boot is on an ext4 that a GRUB before 2.12 does not read, but for Debian's later 2.06."""
    superblock = bytearray(fs_features.SIZE)
    struct.pack_into("<H", superblock, 0x438, 0xEF53)  # linux: fs/ext4/ext4.h, s_magic
    struct.pack_into("<I", superblock, 0x460, 0x2000)  # s_feature_incompat: metadata_csum_seed
    disk = tree.top.parent / f"{tree.top.name}.img"
    disk.write_bytes(superblock)
    tree.boot = replace(tree.boot, device=str(disk))


def test_a_second_stage_that_can_t_read_boot_is_not_taken(tmp_path: Path) -> None:
    tree = BootTree(tmp_path / "tree")
    older = made_of(tree, State.STALE, "2.06-3", "grub-differs")
    assert against_replacement(tree, older) == ()
    on_a_disk_with_seed(tree)
    older, newer = (made_of(tree, State.STALE, each, "grub-differs") for each in ("2.06-3", "2.12"))
    (said,) = against_replacement(tree, older)
    assert "is of GRUB 2.06-3, which can't read" in said
    assert against_replacement(tree, newer) == ()
    assert against_replacement(tree, made_of(tree, State.STALE, "2.06-3", "uuid-mismatch")) == ()
    assert against_replacement(tree, made_of(tree, State.INVALID, "2.06-3", "kernel-zeroed")) == ()


def test_the_first_second_stage_is_followed_by_the_guest_s_own_menu(tmp_path: Path) -> None:
    """A host's GRUB does not know the saved entry, and the guest's own starts that."""
    tree = BootTree(tmp_path)
    menu = text(tree).replace('set default="0"', 'set default="${saved_entry}"')
    assert menu != text(tree)
    tree.write("boot/grub/grub.cfg", menu.encode())
    first = made_of(tree, State.MISSING, "2.12", "missing")
    assert against_replacement(tree, first) == ()
    block = b"# GRUB Environment Block\nsaved_entry=1>2\n"
    tree.write("boot/grub/grubenv", block.ljust(1024, b"#"))
    assert against_replacement(tree, first) == ()
    older = re.findall(r"^\s*linux\s+(\S+)", menu, re.MULTILINE)[3]
    tree.remove(older.lstrip("/").replace("vmlinuz", "initrd.img"))
    assert against_replacement(tree, first)
    once_more = made_of(tree, State.MISSING, "2.12", "missing")
    remembered = TargetReceipt(core_sha256="a")
    evidence = replace(once_more.there.evidence, remembered=remembered)
    once_more = replace(once_more, there=replace(once_more.there, evidence=evidence))
    assert against_replacement(tree, once_more) == ()


def half_installed(tree: BootTree) -> None:
    tree.write(
        "var/lib/dpkg/status",
        b"Package: grub-xen-bin\nStatus: install reinstreq half-installed\nVersion: 2\n",
    )


def second_stage(
    tree: BootTree,
    state: State,
    *codes: str,
    receipt: Receipt = Receipt(),  # noqa: B008 - frozen
    config: Config = Config(),  # noqa: B008 - frozen
    runs_as: Mode = Mode.PV,
) -> None:
    row = TARGETS["x86_64-xen"]
    problems = tuple(Problem(code=TABLE[code], message=code) for code in codes)
    path = row.path(row.arches[0])
    status = TargetStatus(
        target=row.name,
        required=True,
        state=state,
        files=(FileStatus(path=path, state=state),),
        fs_uuid=UUID,
        problems=problems,
    )
    guest = Guest(mode=runs_as, bits=64)
    made = plan.make(Wanted(target=row, required=True), guest, config, tree.boot, {})
    root = Root(str(tree.top))
    kernels = pv_kernels.survey(root, config, {row.name: True}, Memory(root))
    there = surveyed(made, status, receipt.target(row.name))
    found = Survey(
        config=config,
        targets=(there,),
        status=replace(status_of(tree), guest=guest, targets=(status,), kernels=kernels),
    )
    safeguard.second_stage(Root(str(tree.top)), found, there)


def test_nothing_is_made_of_modules_of_two_versions(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    second_stage(tree, State.STALE, "grub-differs")
    half_installed(tree)
    for state, code in (
        (State.STALE, "grub-differs"),
        (State.MISSING, "missing"),
        (State.INVALID, "class-mismatch"),
    ):
        with pytest.raises(NotRepairedError, match="half-installed") as caught:
            second_stage(tree, state, code)
        assert "apt install --reinstall grub-xen-bin" in caught.value.hint
    second_stage(tree, State.STALE, "uuid-mismatch")
    second_stage(tree, State.INVALID, "kernel-zeroed")


def test_the_first_second_stage_must_start_the_kernel_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest runs a kernel that its own GRUB can't unpack: what starts it must not be replaced
    by that GRUB.
    """
    tree = BootTree(tmp_path)
    tree.write(f"boot/vmlinuz-{NEWEST}", boot_tree.kernel(NEWEST, "zstd"))
    monkeypatch.setattr(Root, "is_live", True)
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result(("Linux", "guest", NEWEST, "#1", "x86_64"))
    )
    with pytest.raises(NotRepairedError, match="packed with zstd") as caught:
        second_stage(tree, State.MISSING, "missing")
    assert 'stage1 = "pygrub"' in caught.value.hint
    second_stage(tree, State.STALE, "grub-differs")
    second_stage(tree, State.MISSING, "missing", config=Config(stage1=Stage1.PYGRUB))
    second_stage(tree, State.MISSING, "missing", runs_as=Mode.PVH)
    made_before = Receipt(targets={"x86_64-xen": TargetReceipt(core_sha256="a")})
    second_stage(tree, State.MISSING, "missing", receipt=made_before)
    tree.write(f"boot/vmlinuz-{NEWEST}", boot_tree.kernel(NEWEST, "xz"))
    second_stage(tree, State.MISSING, "missing")
    tree.remove(f"boot/vmlinuz-{NEWEST}")
    second_stage(tree, State.MISSING, "missing")


def test_a_second_stage_that_starts_the_kernel_s_copy_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = BootTree(tmp_path)
    kernel = boot_tree.kernel(NEWEST, "zstd")
    tree.write(f"boot/vmlinuz-{NEWEST}", kernel)
    monkeypatch.setattr(Root, "is_live", True)
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result(("Linux", "guest", NEWEST, "#1", "x86_64"))
    )
    tree.write(f"boot/xen/vmlinux-{NEWEST}.gz", pv_kernel.make(kernel))
    with pytest.raises(NotRepairedError, match="packed with zstd"):
        second_stage(tree, State.MISSING, "missing")
    text = tree.read("boot/grub/grub.cfg").decode()
    menu = pv_menu.rewritten(text, tmp_path / "boot", tmp_path / "output")
    tree.write("boot/grub/grub.cfg", menu)
    second_stage(tree, State.MISSING, "missing")
    tree.remove(f"boot/xen/vmlinux-{NEWEST}.gz")
    with pytest.raises(NotRepairedError, match="packed with zstd"):
        second_stage(tree, State.MISSING, "missing")
