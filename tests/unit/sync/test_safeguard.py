# SPDX-License-Identifier: GPL-3.0-or-later
"""A menu that boots is kept from one that does not, by menus as Debian makes them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.errors import KeptError, NotRepairedError
from guest_hooks.machine import receipts
from guest_hooks.machine.receipts import Kept, Receipt, TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.model import Guest, Mode, Problem, State, Status
from guest_hooks.problems.images import ImageProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.sync import safeguard
from tests.support import boot_tree
from tests.support.boot_damage import INITRD, KERNEL, signed
from tests.support.boot_tree import NEWEST, BootTree

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
    found = safeguard.menu(root, tree.config, status_of(tree), made.encode(), run=tree.disks)
    return tuple(finding.message for finding in found)


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
        f"menuentry a {{\nlinux /x\n}}\n{menu}\nset default=$(x)\n" + "if true; then " * 30
    ),
}


@pytest.mark.parametrize("name", WORSE)
@pytest.mark.parametrize("mode", [Mode.PV, Mode.PVH], ids=str)
def test_a_menu_by_which_the_guest_would_not_boot_is_not_taken(
    tmp_path: Path, name: str, mode: Mode
) -> None:
    tree = BootTree(tmp_path, mode=mode)
    assert against(tree, WORSE[name](text(tree)))


def test_a_signed_menu_is_not_taken_from_a_second_stage_that_checks(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    signed("boot/grub/grub.cfg", KERNEL, INITRD)(tree)
    assert against(tree, NOT_WORSE["another-timeout"](text(tree)))


@pytest.mark.parametrize("name", NOT_WORSE)
def test_a_menu_that_is_not_known_to_fail_is_taken(tmp_path: Path, name: str) -> None:
    tree = BootTree(tmp_path)
    assert against(tree, NOT_WORSE[name](text(tree))) == ()


def test_what_kept_a_menu_says_what_a_person_can_do(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    made = WORSE["initrd-that-is-not-there"](text(tree)).encode()
    root = Root(str(tree.top))
    found = safeguard.menu(root, tree.config, status_of(tree), made, run=tree.disks)
    assert "update-initramfs" in found[0].hint
    force = "or use the new one all the same: xen-guest-bootloader sync --force"
    assert safeguard.step(found) == f"{found[0].hint}; {force}"
    assert safeguard.step([]) == f"correct what is named; {force}"


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
