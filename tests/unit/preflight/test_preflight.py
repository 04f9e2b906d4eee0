# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy guest has no finding, what is not known is said to be, and the answer in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.machine.root import Root
from guest_hooks.model import Mode, Severity, State
from guest_hooks.preflight import facts
from guest_hooks.preflight.result import Certainty
from guest_hooks.problems.row import Actor
from guest_hooks.report import boot_chain
from guest_hooks.report.layout import Style
from tests.support import boot_tree, report_schema
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    OTHER_UUID,
    PV,
    PVH,
    SECOND,
    Damage,
    fstab,
    packed,
    second_stage,
    set_root,
    stage1,
)
from tests.support.boot_tree import NEWEST, RELEASES, UUID, BootTree
from tests.support.healthy_boot import HEALTHY

WARNING = Severity.WARNING


def pvh_zstd(tree: BootTree) -> None:
    for release in RELEASES:
        tree.write(f"boot/vmlinuz-{release}", boot_tree.kernel(release, "zstd"))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (name, mode)
        for name in HEALTHY
        for mode in (PV, PVH)
        if mode is PV or not name.endswith("-pv")
    ],
)
def test_a_healthy_guest_is_told_so_and_nothing_else(name: str, mode: Mode, tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=mode)
    HEALTHY[name](tree)
    answer = tree.preflight()
    assert answer.findings == ()
    assert answer.will_boot
    assert any("type=" in item for item in answer.unknown)
    assert answer.chain


def test_a_zstd_kernel_is_no_fault_for_pvh(tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=PVH)
    pvh_zstd(tree)
    assert tree.preflight().findings == ()


@pytest.mark.parametrize(
    ("value", "is_known"),
    [
        pytest.param(UUID, True, id="boot-s"),
        pytest.param(OTHER_UUID, False, id="nobody-s"),
    ],
)
def test_an_image_s_root_that_may_not_be_there_is_not_known(
    value: str, is_known: bool, tmp_path: Path
) -> None:
    tree = BootTree(tmp_path)
    tree.devices = ()
    set_root(f"root=UUID={value}")(tree)
    said = f"whether this guest will have the file system of root=UUID={value}"
    assert (said not in tree.preflight().unknown) is is_known
    fstab(f"UUID={value} /mnt ext4 defaults 0 0")(tree)
    assert said not in tree.preflight().unknown


@pytest.mark.parametrize("path", [KERNEL, INITRD])
@pytest.mark.parametrize("mode", [PV, PVH])
def test_a_directory_in_a_file_s_place(path: str, mode: Mode, tmp_path: Path) -> None:
    """GRUB's words: grub-core/fs/fshelp.c."""
    tree = BootTree(tmp_path, mode=mode)
    tree.remove(path)
    (tmp_path / path).mkdir()
    (found,) = tree.preflight().findings
    assert (found.console, found.stops) == ("error: not a regular file.", True)


def test_what_a_sync_repairs_is_repaired_from_outside(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.second_stage(State.STALE, "uuid-mismatch")
    packed("zstd")(tree)
    found = {finding.name: finding.actor for finding in tree.preflight().findings}
    assert found == {
        "second-stage-uuid-mismatch": Actor.HERE,
        "kernel-compression": Actor.HERE,
    }


def test_a_disk_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.devices = (*tree.devices, SECOND)
    answer = tree.preflight()
    assert answer.findings == ()
    assert "what is on /dev/xvdb, which could not be read" in answer.unknown


def test_a_missing_library_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    tree = BootTree(tmp_path, mode=PVH)
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("apt install python3-zstandard" in item for item in answer.unknown)


def test_a_kernel_that_runs_now_is_not_said_to_be_unbootable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = BootTree(tmp_path)
    packed("zstd")(tree)
    monkeypatch.setattr(facts, "running", lambda *_: NEWEST)
    answer = tree.preflight()
    (finding,) = answer.findings
    assert (finding.code, finding.severity, finding.certainty) == (
        "kernel-compression",
        WARNING,
        Certainty.UNKNOWN,
    )
    assert answer.will_boot
    stage1(Stage1.DEBIAN_PV)(tree)
    assert not tree.preflight().will_boot


@pytest.mark.parametrize("path", [KERNEL, INITRD])
def test_what_may_not_be_read_is_not_known(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = BootTree(tmp_path)
    read = Root.read

    def refuse(root: Root, name: str, **limit: int) -> bytes:
        if name == f"/{path}":
            raise PermissionError(13, "Permission denied", name)
        return read(root, name, **limit)

    monkeypatch.setattr(Root, "read", refuse)
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("run as root" in item for item in answer.unknown)


def test_an_entry_that_is_not_understood_is_not_known(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("boot/grub/grub.cfg", b"set timeout=0\nmenuentry other { configfile /x\n}\n")
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("configfile" in item for item in answer.unknown)
    table, short = boot_chain.preflight_json(answer), boot_chain.short_json(answer)
    assert (table["will_boot"], short["will_boot"]) == (None, None)
    assert report_schema.complaints(json.loads(json.dumps(table)), "preflight") == []
    assert report_schema.complaints(short, "nextBoot") == []


def test_the_answer_as_text_and_as_json(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.remove(KERNEL)
    answer = tree.preflight()
    first, console, *_ = boot_chain.preflight_text(answer, Style())
    assert first == f"Next boot    WILL NOT BOOT: /{KERNEL} is not there"
    assert console.strip() == f"console  error: file `/{KERNEL}' not found."
    assert "" not in boot_chain.preflight_text(answer, Style())
    both = replace(answer, chain=answer.chain * 2)
    assert boot_chain.preflight_text(both, Style()).count("") == 1, "between two boots"
    table = json.loads(json.dumps(boot_chain.preflight_json(answer)))
    assert (table["schema"], table["ok"], table["will_boot"]) == (1, False, False)
    assert table["findings"][0]["code"] == "kernel-missing"
    assert list(dict.fromkeys(step["link"] for step in table["chain"])) == [
        "stage-1",
        "second-stage",
        "grub.cfg",
        "entry",
        "kernel",
        "initrd",
        "root",
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda _tree: None, "will boot vmlinuz-", id="healthy"),
        pytest.param(lambda tree: tree.remove(KERNEL), "WILL NOT BOOT: ", id="kernel-gone"),
        pytest.param(
            second_stage(State.INVALID, "not-elf"),
            "will boot, but not as it should: ",
            id="by-stage-1-alone",
        ),
    ],
)
def test_the_line_that_status_adds(damage: Damage, words: str, tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    damage(tree)
    answer = tree.preflight()
    first = "".join(part for part, _ in boot_chain.headline(answer))
    assert first.startswith(words)
    table = boot_chain.short_json(answer)
    assert (table["ok"], table["will_boot"], len(table["findings"])) == (
        answer.ok,
        answer.will_boot,
        len(answer.findings),
    )
