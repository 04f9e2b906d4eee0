# SPDX-License-Identifier: GPL-3.0-or-later
"""When grub-mkimage may make a second stage by what grub-install chose before."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.machine.receipts import Receipt, Recipe, TargetReceipt, load, parse, save
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem, Place
from guest_hooks.sync.recipe import adapted

BOOT = BootFilesystem(
    mountpoint="/boot",
    device="/dev/xvda1",
    fs_type="ext4",
    fs_uuid="new",
    grub_dir="/grub",
    modules=("ext2", "part_gpt"),
    grub=Place(device="/dev/xvda1", fs_type="ext4", fs_uuid="new", path="/grub"),
)
OLD = Recipe(
    modules=("ext2", "normal"),
    prefix="/boot/grub",
    config="search.fs_uuid old root \nset prefix=($root)'/boot/grub'\n",
    boot_modules=("ext2", "part_gpt"),
)
VOLUME = replace(OLD, prefix="(lvm/a-b)/boot/grub", config="")


def test_another_uuid_and_another_path_are_put_in_their_places() -> None:
    assert adapted(OLD, BOOT) == replace(
        OLD, prefix="/grub", config="search.fs_uuid new root \nset prefix=($root)'/grub'\n"
    )


def test_on_a_volume_only_the_same_is_made() -> None:
    boot = replace(BOOT, drive="(lvm/a-b)", grub_dir="/boot/grub")
    assert adapted(VOLUME, boot) == VOLUME
    assert adapted(VOLUME, replace(boot, drive="(lvm/a-c)")) is None


@pytest.mark.parametrize(
    ("recipe", "boot"),
    [
        pytest.param(OLD, replace(BOOT, modules=("xfs", "part_gpt")), id="file-system"),
        pytest.param(OLD, replace(BOOT, modules=("ext2",)), id="partition-table"),
        pytest.param(OLD, replace(BOOT, grub_dir="/it's"), id="path-that-is-quoted"),
        pytest.param(OLD, replace(BOOT, grub=None, fs_uuid=""), id="no-uuid"),
        pytest.param(VOLUME, BOOT, id="volume-before"),
        pytest.param(
            replace(OLD, config=OLD.config.replace("root \n", "root hd0,gpt1 \n")), BOOT, id="hints"
        ),
        pytest.param(replace(OLD, config=f"{OLD.config}set debug='all'\n"), BOOT, id="more"),
        pytest.param(replace(OLD, prefix="/grub"), BOOT, id="two-prefixes"),
    ],
)
def test_all_else_is_grub_install_s_to_decide(recipe: Recipe, boot: BootFilesystem) -> None:
    assert adapted(recipe, boot) is None


def test_a_receipt_keeps_it(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    receipt = Receipt(targets={"x86_64-xen": TargetReceipt(core_sha256="a", recipe=OLD)})
    assert save(root, receipt) == ()
    assert load(root) == receipt


@pytest.mark.parametrize(
    "recipe",
    [
        "3",
        "{}",
        '{"modules": "ext2", "boot_modules": [], "prefix": "", "config": ""}',
        '{"modules": [1], "boot_modules": [], "prefix": "", "config": ""}',
    ],
)
def test_what_is_no_recipe_reads_as_none(recipe: str) -> None:
    row = f'{{"core_sha256": "a", "request": [], "held_sha256": "", "recipe": {recipe}}}'
    found = parse(f'{{"schema": 1, "targets": {{"x86_64-xen": {row}}}}}'.encode())
    assert found.target("x86_64-xen") == TargetReceipt(core_sha256="a")
