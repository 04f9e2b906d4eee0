# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy guest has no finding, what is not known is said to be, and the answer in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Config, Stage1
from guest_hooks.hooks import kernel
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.model import Guest, Mode, Severity, State
from guest_hooks.preflight import facts
from guest_hooks.preflight.next_boot import kernel_problems
from guest_hooks.preflight.result import Certainty, Finding, Link, Preflight
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
    both,
    default_entry,
    fstab,
    packed,
    saved,
    second_stage,
    set_root,
    stage1,
)
from tests.support.boot_tree import NEWEST, RELEASES, UUID, BootTree
from tests.support.healthy_boot import HEALTHY

WARNING = Severity.WARNING
BRIDGE = "boot/xen/pvhboot-i386.linux"


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


def first_entry(block: str, fallback: str) -> Damage:
    """A first entry that is the default, and what GRUB goes on with."""
    return default_entry(block, before=f"set fallback={fallback}\n")


GONE = "linux /boot/vmlinuz-0 root=/dev/xvda1"


@pytest.mark.parametrize(
    ("damage", "boots", "codes"),
    [
        pytest.param(first_entry(GONE, "1"), True, ["kernel-missing"], id="to-one-that-boots"),
        pytest.param(first_entry(GONE, "''"), False, ["kernel-missing"], id="to-nothing"),
        pytest.param(first_entry(GONE, "9"), False, ["kernel-missing"], id="to-no-entry"),
        pytest.param(
            first_entry("linux16 /x", "1"), True, ["entry-command-missing"], id="from-a-command"
        ),
        pytest.param(first_entry("true", "1"), True, ["entry-starts-nothing"], id="from-nothing"),
        pytest.param(first_entry("halt", "1"), False, ["entry-starts-nothing"], id="not-from-halt"),
        pytest.param(
            first_entry(f"linux /{KERNEL}\ninitrd /{INITRD}", "1"),
            False,
            ["root-none"],
            id="not-from-linux",
        ),
        pytest.param(
            both(first_entry(GONE, "1"), lambda tree: tree.remove(KERNEL)),
            False,
            ["kernel-missing", "kernel-missing"],
            id="to-one-that-is-gone-too",
        ),
    ],
)
def test_grub_goes_on_by_fallback(
    damage: Damage, boots: bool, codes: list[str], tmp_path: Path
) -> None:
    tree = BootTree(tmp_path)
    damage(tree)
    answer = tree.preflight()
    assert answer.will_boot is boots
    errors = [each for each in answer.findings if each.severity is Severity.ERROR]
    assert [each.name for each in errors] == codes
    started = [step.thing for step in answer.chain if step.link is Link.KERNEL]
    assert started[-1:] == ([f"/{KERNEL}"] if boots else started[-1:])
    assert len(started) <= 1


def test_where_the_versions_of_grub_differ_is_not_known(tmp_path: Path) -> None:
    """2.12 takes a title, 2.06 (grub-emu) does not."""
    tree = BootTree(tmp_path)
    first_entry(GONE, "First")(tree)
    answer = tree.preflight()
    assert boot_chain.preflight_json(answer)["will_boot"] is None
    assert plain_headline(answer).startswith("not known: ")
    assert any("falls back" in item for item in answer.unknown)


def plain_headline(answer: Preflight) -> str:
    return "".join(part for part, _ in boot_chain.headline(answer))


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


def test_stage_1_that_reads_the_menu_itself_knows_no_saved_entry(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    saved("1>4")(tree)
    assert f"/boot/vmlinuz-{RELEASES[2]}, packed with xz" in [
        step.text for step in tree.preflight().chain
    ]
    tree.second_stage(State.MISSING, "missing")
    assert f"/boot/vmlinuz-{NEWEST}, packed with xz" in [
        step.text for step in tree.preflight().chain
    ]


def without_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    tree.target = replace(tree.target, files=tree.target.files[:1])
    tree.remove(BRIDGE)


def with_damaged_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    first, bridge = tree.target.files
    tree.second_stage(State.STALE, "bridge-damaged")
    tree.target = replace(tree.target, files=(first, replace(bridge, state=State.INVALID)))


def with_old_bridge(tree: BootTree) -> None:
    assert tree.target is not None
    first, bridge = tree.target.files
    tree.target = replace(tree.target, files=(first, replace(bridge, state=State.STALE)))


def without_handover(tree: BootTree) -> None:
    tree.edit_menu(boot_tree.handover().decode(), "")


@pytest.mark.parametrize(
    ("damage", "is_reached", "found"),
    [
        pytest.param(lambda _: None, True, [], id="all-there"),
        pytest.param(with_old_bridge, True, [], id="old-bridge"),
        pytest.param(without_bridge, False, [], id="no-bridge"),
        pytest.param(
            with_damaged_bridge, False, [("second-stage-bridge-damaged", True)], id="damaged-bridge"
        ),
        pytest.param(
            without_handover, False, [("second-stage-not-reached", False)], id="no-handover"
        ),
        pytest.param(
            stage1(Stage1.OWN, without_handover), True, [], id="own-stage-1-needs-no-handover"
        ),
        pytest.param(
            stage1(Stage1.OWN, without_bridge), False, [], id="own-stage-1-without-bridge"
        ),
    ],
)
def test_a_pvh_second_stage_counts_where_stage_1_reaches_it(
    damage: Damage, is_reached: bool, found: list[tuple[str, bool]], tmp_path: Path
) -> None:
    tree = BootTree(tmp_path, mode=PVH)
    saved("1>4")(tree)
    damage(tree)
    answer = tree.preflight()
    steps = [step.text for step in answer.chain]
    reader = "the second stage" if is_reached else "stage 1"
    assert [step for step in steps if step.startswith(f"{reader} reads /boot/grub/grub.cfg")], steps
    # stage 1 has no grubenv
    assert f"/boot/vmlinuz-{RELEASES[2] if is_reached else NEWEST}, packed with xz" in steps
    assert [(finding.name, finding.stops) for finding in answer.findings] == found


def problems_of(top: Path, guest: Guest) -> tuple[Finding, ...]:
    root = Root(str(top))
    return kernel_problems(root, guest, NEWEST, Memory(root))


def test_a_new_kernel_is_judged_by_itself(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    guest = Guest(mode=PV, bits=64)
    assert problems_of(tmp_path, guest) == ()
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    assert [finding.code for finding in problems_of(tmp_path, guest)] == ["kernel-compression"]
    assert problems_of(tmp_path, Guest(mode=PVH, bits=64)) == ()
    tree.remove(INITRD)
    assert [finding.code for finding in problems_of(tmp_path, Guest(mode=PVH, bits=64))] == [
        "initrd-none"
    ]
    assert problems_of(tmp_path, Guest(mode=Mode.HVM, bits=64)) == ()


def test_a_new_kernel_that_cannot_boot_is_told_loudly(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("sys/hypervisor/type", b"xen\n")
    tree.write("sys/hypervisor/guest_type", b"PV\n")
    config = Config(targets=("x86_64-xen",))
    root = Root(str(tmp_path))
    assert kernel.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"]) == []
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    lines = kernel.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"])
    assert f"xen-guest-bootloader: this guest will not boot with Linux {NEWEST}:" in lines
    assert "  console  error: not xen image." in lines
    assert kernel.kernel_warning(root, config, []) == []
    assert kernel.kernel_warning(root, Config(targets=("i386-xen_pvh",)), [NEWEST]) == []


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
