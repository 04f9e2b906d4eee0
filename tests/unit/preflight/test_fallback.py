# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB goes on with the entries of `fallback` where one comes back to it."""

from pathlib import Path

import pytest

from guest_hooks.model import Severity
from guest_hooks.preflight.result import Link, Preflight
from guest_hooks.report import boot_chain
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    Damage,
    both,
    default_entry,
)
from tests.support.boot_tree import BootTree


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
