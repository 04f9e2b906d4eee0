# SPDX-License-Identifier: GPL-3.0-or-later
"""A grub.cfg that a person wrote is theirs: it is not called stale, and never replaced unasked."""

from pathlib import Path

import pytest

from guest_hooks.config import Config
from guest_hooks.formats import grub_cfg
from guest_hooks.machine.root import Root
from guest_hooks.model import GrubCfgStatus, Guest, Mode, State, Status
from guest_hooks.survey import menu_verdict
from guest_hooks.survey.status import Survey
from guest_hooks.sync import work
from guest_hooks.sync.result import Request
from tests.support import generated_menus
from tests.support.boot_tree import BootTree

ENTRY = "menuentry mine {\n linux /boot/vmlinuz-0 root=/dev/sda1\n}\n"
UNFINISHED = "menuentry mine {\n linux /boot/vmlinuz-0 root=/dev/sda1\n"


@pytest.mark.parametrize(
    ("text", "is_theirs"),
    [
        pytest.param("configfile /grub2/grub.cfg\n", True, id="stub"),
        pytest.param(f"# my own\nset timeout=1\n{ENTRY}", True, id="menu"),
        pytest.param("set timeout=1\n", True, id="beginning"),
        pytest.param("", False, id="empty"),
        pytest.param("#\n# DO NOT ED", False, id="cut-off-in-its-heading"),
        pytest.param("\0\0\0\0linux\n", False, id="blocks-that-were-not-written"),
        *(
            pytest.param(each.read_text()[:length], False, id=f"{each.stem}-{length}")
            for each in generated_menus.PATHS
            for length in (60, 3000, None)
        ),
    ],
)
def test_what_has_no_mark_of_grub_mkconfigs_is_a_persons(text: str, is_theirs: bool) -> None:
    assert grub_cfg.is_by_hand(text.encode()) is is_theirs


@pytest.mark.parametrize("text", [ENTRY, "source /boot/grub/mine.cfg\n"])
def test_what_it_says_is_never_stale(tmp_path: Path, text: str) -> None:
    tree = BootTree(tmp_path)
    tree.write("boot/grub/grub.cfg", text.encode())
    found = menu_verdict.status(Root(str(tmp_path)), fs_uuid="1", root_uuid="2")
    assert found == GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.CURRENT)


def _work(menu: GrubCfgStatus, request: Request) -> work.Work:
    status = Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=menu)
    return work.decide(Survey(config=Config(), targets=(), status=status), request)


@pytest.mark.parametrize(
    ("asked", "is_replaced"),
    [
        (Request(), False),
        (Request(automatic=True), False),
        (Request(adopt=True), True),
        (Request(force=True), True),
    ],
    ids=["by-a-person", "by-itself", "adopt", "force"],
)
def test_one_that_grub_refuses_is_left_to_its_owner(
    tmp_path: Path, asked: Request, is_replaced: bool
) -> None:
    """It may be half written, and GRUB goes on behind most mistakes."""
    tree = BootTree(tmp_path)
    tree.write("boot/grub/grub.cfg", UNFINISHED.encode())
    menu = menu_verdict.status(Root(str(tmp_path)))
    assert (menu.state, menu.is_by_hand) == (State.INVALID, True)
    assert "sync --adopt" in menu.problems[0].hint
    due = _work(menu, asked)
    assert bool(due.menu) is is_replaced
    assert [each.name for each in due.failures] == ([] if is_replaced else [menu.path])


def test_a_broken_one_of_grub_mkconfigs_is_made_again(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    text = tree.read("boot/grub/grub.cfg")
    tree.write("boot/grub/grub.cfg", text[: len(text) // 2])
    menu = menu_verdict.status(Root(str(tmp_path)))
    assert menu.state is State.INVALID
    assert _work(menu, Request()).menu


def test_no_step_writes_over_it(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("boot/grub/grub.cfg", f"set timeout=1\n{ENTRY}".encode())
    steps = {each.name: each.hint for each in tree.preflight().findings}
    assert steps["kernel-missing"] == (
        "correct vmlinuz-0 in /boot/grub/grub.cfg, or in what it reads; or have Debian's in its"
        " place: update-grub"
    )
