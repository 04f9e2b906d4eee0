# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the table of targets."""

from pathlib import Path

import pytest

from guest_hooks.machine.root import Root
from guest_hooks.preflight import facts
from guest_hooks.targets import TARGETS
from tests.support.boot_tree import BootTree


@pytest.mark.parametrize("name", TARGETS)
def test_a_menu_sees_the_cpu_and_platform_of_the_grub_that_reads_it(
    name: str, tmp_path: Path
) -> None:
    tree = BootTree(tmp_path)
    text = 'menuentry "$grub_cpu-$grub_platform" {\nlinux /boot/vmlinuz\n}\n'
    menu = facts.menu(
        Root(str(tmp_path)),
        tree.boot,
        text,
        TARGETS[name].mode,
        targets=[name],
        by_second_stage=True,
    )
    assert [entry.title for entry in menu.all()] == [name]
