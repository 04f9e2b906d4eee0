# SPDX-License-Identifier: GPL-3.0-or-later
"""What boots is kept from what does not: by menus as Debian makes them, and by the states of
dpkg and of the running kernel.
"""

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Config, Stage1
from guest_hooks.errors import KeptError, NotRepairedError
from guest_hooks.formats import fs_features, pv_kernel
from guest_hooks.machine import dpkg, receipts
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.overlay import Overlay
from guest_hooks.machine.receipts import Kept, Receipt, TargetReceipt
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.model import FileStatus, Guest, Mode, Problem, State, Status, TargetStatus
from guest_hooks.problems.images import ImageProblem
from guest_hooks.problems.menus import MenuProblem
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

PATH = "/boot/grub/grub.cfg"
DAMAGED_BRIDGE = Problem(code=ImageProblem.BRIDGE_DAMAGED, message="it is damaged")
Edit = Callable[[str], str]


def status_of(tree: BootTree) -> Status:
    assert tree.target is not None
    return Status(
        guest=Guest(mode=tree.mode, bits=64),
        boot=tree.boot,
        targets=(tree.target,),
        grub_cfg=tree.grub_cfg,
    )


def against(tree: BootTree, made: str) -> tuple[str, ...]:
    root = Root(str(tree.top))
    return safeguard.menu(root, tree.config, status_of(tree), made.encode(), run=tree.disks)


def text(tree: BootTree) -> str:
    return tree.read("boot/grub/grub.cfg").decode()


def without_initrd(menu: str) -> str:
    """The entries of the newest kernel start it without its initrd, as 10_linux writes them
    where there is none.
    """
    return re.sub(rf"^\s*initrd\s.*{re.escape(NEWEST)}\n", "", menu, flags=re.MULTILINE)


def no_entry_boots(menu: str) -> str:
    return re.sub(r"^\s*initrd\s.*\n", "", menu, flags=re.MULTILINE)


def unsure(menu: str) -> str:
    """Which entry is the default is settled while GRUB runs."""
    return f"{menu}\nif hwmatch x; then set default=1; fi\n"


WORSE: dict[str, Edit] = {
    "newest-kernel-without-initrd": without_initrd,
    "kernel-that-is-not-there": lambda menu: menu.replace(f"vmlinuz-{NEWEST}", "vmlinuz-9"),
    "initrd-that-is-not-there": lambda menu: menu.replace(f"initrd.img-{NEWEST}", "initrd.img-9"),
    "no-root": lambda menu: re.sub(r"root=\S+", "", menu),
    "no-entry": lambda menu: menu[: menu.index("menuentry ")],
    "no-entry-boots-whichever-is-the-default": lambda menu: unsure(no_entry_boots(menu)),
}
NOT_WORSE: dict[str, Edit] = {
    "the-same": lambda menu: menu,
    "another-timeout": lambda menu: menu.replace("set timeout=5", "set timeout=1"),
    "an-older-default": lambda menu: menu + "set default=1\n",
    "default-not-known": lambda menu: unsure(without_initrd(menu)),
    "not-followed": lambda menu: (
        f"menuentry a {{\nlinux /x\n}}\n{menu}\nset default=$(x)\n" + "if true; then " * 3
    ),
}


@pytest.mark.parametrize("name", WORSE)
@pytest.mark.parametrize("mode", [Mode.PV, Mode.PVH], ids=str)
def test_a_menu_by_which_the_guest_would_not_boot_is_not_taken(
    tmp_path: Path, name: str, mode: Mode
) -> None:
    tree = BootTree(tmp_path, mode=mode)
    assert against(tree, WORSE[name](text(tree)))


@pytest.mark.parametrize("name", NOT_WORSE)
def test_a_menu_that_is_not_known_to_fail_is_taken(tmp_path: Path, name: str) -> None:
    tree = BootTree(tmp_path)
    assert against(tree, NOT_WORSE[name](text(tree))) == ()


def invalid(tree: BootTree) -> None:
    assert tree.grub_cfg is not None
    problem = Problem(code=MenuProblem.INVALID, message="it is cut off")
    tree.grub_cfg = replace(tree.grub_cfg, state=State.INVALID, problems=(problem,))


def broken_second_stage(tree: BootTree) -> None:
    tree.second_stage(State.INVALID, "kernel-zeroed")


def no_kernels(tree: BootTree) -> None:
    for release in boot_tree.RELEASES:
        tree.remove(f"boot/vmlinuz-{release}")


NOT_BOOTING: dict[str, Callable[[BootTree], object]] = {
    "menu-invalid": invalid,
    "menu-missing": lambda tree: tree.remove("boot/grub/grub.cfg"),
    "default-without-initrd": lambda tree: tree.write(
        "boot/grub/grub.cfg", without_initrd(text(tree)).encode()
    ),
    "second-stage-broken": broken_second_stage,
    "kernels-gone": no_kernels,
}


@pytest.mark.parametrize("name", NOT_BOOTING)
def test_where_neither_boots_the_new_menu_is_taken(tmp_path: Path, name: str) -> None:
    tree = BootTree(tmp_path)
    made = no_entry_boots(text(tree))
    assert against(tree, made)
    NOT_BOOTING[name](tree)
    assert against(tree, made) == ()


def test_a_menu_that_waits_excuses_nothing(tmp_path: Path) -> None:
    """A menu without a timeout waits for somebody, who then starts an entry that boots."""
    tree = BootTree(tmp_path)
    waits = re.sub(r"set timeout=\S+", "set timeout=-1", text(tree))
    tree.write("boot/grub/grub.cfg", waits.encode())
    assert {finding.code for finding in tree.preflight().findings} == {"menu-waits"}
    assert against(tree, without_initrd(waits))
    assert against(tree, waits.replace("Debian", "Other")) == ()
    tree.write("boot/grub/grub.cfg", waits.replace("set timeout=-1", "set timeout=5").encode())
    assert against(tree, waits)


def test_a_menu_that_is_not_known_to_fail_is_kept_from_one_that_is(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    good = text(tree)
    tree.write("boot/grub/grub.cfg", unsure(without_initrd(good)).encode())
    assert against(tree, without_initrd(good))


def test_a_handover_to_a_damaged_second_stage_is_not_taken(tmp_path: Path) -> None:
    """Stage 1 of a PVH guest comes to the second stage by the menu alone."""
    tree = BootTree(tmp_path, mode=Mode.PVH)
    handing_over = text(tree)
    tree.write(
        "boot/grub/grub.cfg", handing_over.removeprefix(boot_tree.handover().decode()).encode()
    )
    assert against(tree, handing_over) == ()
    tree.second_stage(State.INVALID, "bridge-damaged")
    assert against(tree, handing_over) == ("it is not right",)
    assert against(tree, text(tree)) == ()


def test_what_was_learnt_of_kernels_is_not_written_into_an_image(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    against(tree, without_initrd(text(tree)))
    assert not (tmp_path / "var").exists()


def test_an_overlay_shows_the_tree_as_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/there").write_bytes(b"old")
    view = Overlay(str(tmp_path), {"/boot/there": b"new", "/boot/not-there": b"newer"})
    assert (view.read("/boot/there"), view.read_text("/boot/not-there")) == (b"new", "newer")
    status = view.stat("/boot/not-there")
    assert status is not None
    assert (status.st_size, view.exists("/boot/not-there"), view.exists("/boot/else")) == (
        5,
        True,
        False,
    )
    assert view.lstat("/boot/there") == view.stat("/boot/there")
    assert view.names("/boot") == ("there",)
    with pytest.raises(NotRegularError):
        view.read("/boot/not-there", limit=4)
    assert (tmp_path / "boot/there").read_bytes() == b"old"


def kept(message: str = "it was kept", made: str = "b") -> KeptError:
    return KeptError(message, path=PATH, before="a", made=made, hint="mend it")


def test_what_was_kept_is_remembered_until_it_is_replaced(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    before = Receipt(targets={"x86_64-xen": TargetReceipt(core_sha256="c")})
    assert not safeguard.is_known(before, kept())
    receipts.save(root, safeguard.noted(before, [NotRepairedError("other"), kept()], []))
    found = receipts.load(root)
    assert found.kept == {
        PATH: Kept(sha256="a", made_sha256="b", message="it was kept", hint="mend it")
    }
    assert found.targets == before.targets
    assert safeguard.is_known(found, kept())
    assert not safeguard.is_known(found, kept(made="c"))
    assert not safeguard.is_known(found, kept("for another cause"))
    assert not safeguard.is_known(found, NotRepairedError("it was kept"))
    assert safeguard.noted(found, [], []).kept == found.kept
    assert safeguard.noted(found, [], [PATH]).kept == {}


@pytest.mark.parametrize(
    "row", [None, 1, [], {}, {"sha256": 1, "made_sha256": "", "message": "", "hint": ""}]
)
def test_an_odd_note_reads_as_none(row: object) -> None:
    data = json.dumps({"schema": 1, "targets": {}, "kept": {"/x": row}})
    assert receipts.parse(data.encode()).kept == {}


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
    return against


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


def test_nothing_is_made_of_damaged_modules(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    where = TARGETS["x86_64-xen"].lib_dir
    files = {f"{where}/{name}": name.encode() for name in ("kernel.img", "moddep.lst", "a.mod")}
    sums = {path: hashlib.md5(data, usedforsecurity=False) for path, data in files.items()}
    rows = "".join(f"{digest.hexdigest()}  {path[1:]}\n" for path, digest in sums.items())
    tree.write("var/lib/dpkg/info/grub-xen-bin.md5sums", rows.encode())
    root = Root(str(tree.top))

    def altered(*names: str) -> tuple[str, ...]:
        changed = {f"{where}/{name}": b"damaged" for name in names}
        found = dpkg.altered(root, "grub-xen-bin", files | changed)
        return tuple(path.removeprefix(f"{where}/") for path in found)

    assert altered() == ()
    assert altered("kernel.img") == ("kernel.img",)
    assert altered("unknown.mod") == ()
    assert altered("kernel.img", "a.mod") == ()  # another build was laid over this one
    tree.remove("var/lib/dpkg/info/grub-xen-bin.md5sums")
    assert altered("kernel.img") == ()


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
