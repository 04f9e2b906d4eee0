# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that puts the handover to a PVH second stage at the top of grub.cfg; tests/xen has
it run by real stage 1s.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Completed
from guest_hooks.model import State
from guest_hooks.paths import BOOT_XEN
from guest_hooks.survey import menu_kernels, menu_verdict
from guest_hooks.targets import HANDOVER, TARGETS
from tests.support import boot_tree
from tests.support.checkout import CHECKOUT

SCRIPT = CHECKOUT / "grub.d/00_chainload_xen_pvh"


def test_grub_can_parse_it() -> None:
    subprocess.run(["grub-script-check"], input=boot_tree.handover(), check=True)


def test_it_prints_nothing_where_the_package_is_gone() -> None:
    assert boot_tree.handover("/usr/bin/gone") == b""


def test_it_looks_for_the_file_that_is_installed() -> None:
    bridge = TARGETS["i386-xen_pvh"].bridge
    (places,) = re.findall(r" in (.+); do", boot_tree.handover().decode())
    assert places.split() == [f"{BOOT_XEN}/{bridge}", f"/xen/{bridge}"]


def test_it_comes_before_all_that_debian_ships() -> None:
    assert SCRIPT.name < "00_header"
    assert re.fullmatch(r"[a-z0-9_]+", SCRIPT.name), "a name that every locale sorts alike"


def section(text: str) -> str:
    """What grub-mkconfig makes of the script's output."""
    return f"### BEGIN {HANDOVER} ###\n{text}### END {HANDOVER} ###\n"


GENERATED = "### BEGIN /etc/grub.d/00_header ###\n### END /etc/grub.d/00_header ###\n"


def parsed(command: Sequence[str], **_: object) -> Completed:
    """In the place of grub-script-check, which a tree without Debian in it has none of."""
    assert command
    return Completed(code=0, stdout=b"", stderr=b"")


@pytest.mark.parametrize(
    ("text", "mode", "program", "found"),
    [
        pytest.param(GENERATED, 0o755, True, ["no-handover"], id="made-before-the-script-came"),
        pytest.param(
            section("") + GENERATED,
            0o755,
            True,
            ["no-handover"],
            id="made-while-the-package-was-gone",
        ),
        pytest.param(section("") + GENERATED, 0o755, False, [], id="package-gone"),
        pytest.param(GENERATED, 0o644, True, [], id="script-turned-off"),
        pytest.param(GENERATED, None, True, [], id="no-script"),
        pytest.param("menuentry x {\ntrue\n}\n", 0o755, True, [], id="written-by-hand"),
        pytest.param(
            section(boot_tree.handover().decode()) + GENERATED, 0o755, True, [], id="already-there"
        ),
    ],
)
def test_a_menu_without_the_handover_is_stale(
    tmp_path: Path, text: str, mode: int | None, program: bool, found: list[str]
) -> None:
    for path in ("boot/grub", "etc/grub.d", "usr/bin", "dev", "proc", "sys", "tmp", "run"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "boot/grub/grub.cfg").write_text(text)
    if program:
        (tmp_path / menu_kernels.PROGRAM.lstrip("/")).touch()
    if mode is not None:
        script = tmp_path / HANDOVER.lstrip("/")
        script.write_text("#!/bin/sh\n")
        script.chmod(mode)
    status = menu_verdict.status(Root(str(tmp_path)), run=parsed)
    assert [problem.code for problem in status.problems] == found
    assert status.state is (State.STALE if found else State.CURRENT)


def test_the_script_is_the_one_that_is_looked_for() -> None:
    assert os.path.basename(HANDOVER) == SCRIPT.name
