# SPDX-License-Identifier: GPL-3.0-or-later
"""When grub-mkimage may make a second stage by what grub-install chose before."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guest_hooks.formats.digests import sha256
from guest_hooks.machine import mkimage
from guest_hooks.machine.receipts import Receipt, Recipe, TargetReceipt, load, parse, save
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem, Choices, Place
from guest_hooks.sync import recipe as recipes
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


def core_of(recipe: Recipe, *, modules: bytes = b"modules") -> bytes:
    """What grub-mkimage is taken to make."""
    return b"kernel" + modules + recipe.config.encode() + b"\0" + recipe.prefix.encode()


def found(standing: bytes | None) -> Any:
    """A target whose core image was made by OLD, and what stands of it."""
    there = SimpleNamespace(sha256=sha256(standing) if standing else "", data=standing)
    evidence = SimpleNamespace(
        remembered=TargetReceipt(core_sha256=sha256(core_of(OLD)), recipe=OLD),
        found={"/boot/xen/pvboot-x86_64.elf": there},
        module_dir=SimpleNamespace(core_sha256=""),
        standing=SimpleNamespace(files={}),
    )
    plan = SimpleNamespace(request=(), choices=Choices(), boot=SAME_PLACE, target=None)
    return SimpleNamespace(evidence=evidence, plan=plan)


SAME_PLACE = replace(BOOT, grub_dir="/boot/grub", grub=replace(BOOT.grub_place, path="/boot/grub"))
NEW = replace(OLD, config=OLD.config.replace(" old ", " new "))


@pytest.mark.parametrize(
    ("standing", "modules", "asked", "is_made"),
    [
        pytest.param(core_of(OLD), b"modules", [NEW], True, id="another-uuid"),
        pytest.param(core_of(OLD), b"upgraded", [NEW], False, id="another-grub"),
        pytest.param(None, b"modules", [OLD, NEW], True, id="gone"),
        pytest.param(None, b"upgraded", [OLD, NEW], False, id="gone-and-another-grub"),
        pytest.param(b"damaged", b"modules", [OLD, NEW], True, id="damaged"),
    ],
)
def test_what_is_made_is_what_was_but_for_the_uuid(
    standing: bytes | None,
    modules: bytes,
    asked: list[Recipe],
    is_made: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Recipe] = []

    def make(
        _root: Root, _target: None, wanted: tuple[Recipe, ...], _: Choices
    ) -> tuple[bytes, ...]:
        seen.extend(wanted)
        return tuple(core_of(each, modules=modules) for each in wanted)

    monkeypatch.setattr(mkimage, "make", make)
    assert recipes.image(Root(), found(standing)) == (core_of(NEW) if is_made else None)
    assert seen == asked


@pytest.mark.parametrize(
    ("core", "wanted"),
    [
        pytest.param(None, NEW, id="no-image"),
        pytest.param(core_of(OLD) * 2, NEW, id="two-places"),
        pytest.param(core_of(NEW), NEW, id="no-place"),
        pytest.param(core_of(OLD), replace(NEW, prefix="/grub"), id="another-prefix"),
        pytest.param(core_of(OLD), replace(NEW, modules=("ext2",)), id="other-modules"),
        pytest.param(
            core_of(OLD),
            replace(OLD, config=OLD.config.replace(" old ", " longer ")),
            id="another-length",
        ),
        pytest.param(b"", replace(VOLUME, config=""), id="no-configuration"),
    ],
)
def test_more_than_a_uuid_is_not_exchanged(core: bytes | None, wanted: Recipe) -> None:
    before = VOLUME if wanted == VOLUME else OLD
    assert recipes.exchanged(core, before, wanted) is None
