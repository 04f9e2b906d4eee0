# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's core image: its modules, what tells its build, and that a kernel.img alone tells as
much.
"""

import hashlib
import struct
import subprocess
from pathlib import Path

import pytest

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf, grub_core
from guest_hooks.targets import TARGETS
from tests.support import second_stages as build
from tests.support.second_stages import core_image


def read(image: bytes) -> grub_core.Core:
    return grub_core.read(elf.read(image), image)


@pytest.mark.parametrize("target", TARGETS)
def test_modules_are_the_files_they_came_from(target: str) -> None:
    modules = read(core_image(target)).modules
    assert {module.name for module in modules} >= set(build.MODULES)
    for module in modules:
        file = Path(f"/usr/lib/grub/{target}/{module.name}.mod").read_bytes()
        assert (module.size, module.sha256) == (
            len(file),
            hashlib.sha256(file).hexdigest(),
        ), module.name


@pytest.mark.parametrize("target", TARGETS)
def test_modules_name_what_they_need(target: str) -> None:
    listed = dict(
        line.split(":", 1)
        for line in Path(f"/usr/lib/grub/{target}/moddep.lst").read_text().splitlines()
    )
    for module in read(core_image(target)).modules:
        assert set(module.needs) == set(listed[module.name].split()), module.name


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernel_tells_the_build_whatever_is_in_the_image(target: str) -> None:
    images = (
        core_image(target),
        core_image(target, modules=()),
        core_image(target, modules=("ext2", "xfs", "normal", "linux")),
        core_image(target, config="", prefix="(lvmid/a/b)/grub"),
        core_image(target, memdisk="linux /vmlinuz\n"),
    )
    kernel = grub_core.kernel_sha256(Path(f"/usr/lib/grub/{target}/kernel.img").read_bytes())
    assert {
        hashlib.sha256(elf.content(image, elf.read(image).loads[0])).hexdigest() for image in images
    } == {kernel}


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "not-elf"), (core_image("i386-xen"), "not-a-kernel"), (b"\x7fELF", "elf-header")],
    ids=["empty", "core", "cut"],
)
def test_what_is_no_kernel_img(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as raised:
        grub_core.kernel_sha256(data)
    assert raised.value.code == code


def test_the_version_is_normal_s_word() -> None:
    said = subprocess.run(
        ["grub-mkimage", "--version"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert read(core_image("x86_64-xen")).grub_version == said.split()[-1]
    assert read(core_image("x86_64-xen", modules=("ext2",))).grub_version == ""


@pytest.mark.parametrize(
    ("memdisk", "stage1", "reads"),
    [
        pytest.param(build.STAGE1_CFG, True, False, id="stage-1"),
        pytest.param(build.PVH_STAGE1_CFG, False, True, id="pvh-stage-1"),
        pytest.param("# pvboot-x86_64.elf\nlinux /vmlinuz\n", False, False, id="comment"),
        pytest.param(
            "echo x # pvboot-x86_64.elf\nmultiboot /xen/pvhboot-i386.elf\n",
            True,
            False,
            id="after-a-comment",
        ),
        pytest.param("#pvboot-\n" * 5000, True, False, id="more-comments-than-anyone-writes"),
        pytest.param("search -f /boot/grub/grub.cfg\n", False, False, id="looks-only"),
    ],
)
def test_what_a_memdisk_says(memdisk: str, stage1: bool, reads: bool) -> None:
    core = read(core_image("x86_64-xen", memdisk=memdisk))
    assert (core.has_memdisk, core.is_stage1, core.reads_guest_cfg) == (True, stage1, reads)


@pytest.mark.parametrize("target", TARGETS)
def test_an_object_that_is_not_padded(target: str) -> None:
    """A key claims its true size; a module, which GRUB would not find where it ends, may not."""
    key = b"\x99" * 625
    image = core_image(target, keys=(key,))
    core = read(image)
    assert (core.public_keys, core.has_cli, core.config) == ((key,), True, build.CONFIG)
    for kind in (grub_core.OBJ_ELF, grub_core.OBJ_CONFIG, grub_core.OBJ_PREFIX):
        at = build.object_at(core_image(target), kind)
        (size,) = struct.unpack_from("<I", core_image(target), at + 4)
        with pytest.raises(FormatError) as raised:
            read(build.put(core_image(target), at + 4, struct.pack("<I", size - 1)))
        assert raised.value.code == "module-block"


@pytest.mark.parametrize("target", TARGETS)
def test_a_key_that_ends_outside_the_block(target: str) -> None:
    image = core_image(target, config="", keys=(b"k" * 17,))
    at = build.object_at(image, grub_core.OBJ_PUBKEY)
    end = build.block_at(image) + build.segment(image, build.LOAD_MODS)["filesz"]
    with pytest.raises(FormatError):
        read(build.put(image, at + 4, struct.pack("<I", end - at + 1)))
