# SPDX-License-Identifier: GPL-3.0-or-later
"""Second stages of every GRUB that a guest may have: made by its own tools, read by ours,
accepted by the judges.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats import grub_core, second_stage
from guest_hooks.hooks.grub_options import OPTIONS
from guest_hooks.targets import TARGETS
from tests.support import grub_file, grub_versions, libxenguest
from tests.support import second_stages as build
from tests.support.checkout import CHECKOUT
from tests.support.second_stages import fits
from tests.unit.hooks.test_grub_options import in_help

SUITES = ("trixie", "sid")
"""With GRUB 2.12 and, at the time of writing, 2.14; the tests below want each to be another
than the host's.
"""
MANY = (
    "ext2",
    "xfs",
    "btrfs",
    "lvm",
    "mdraid1x",
    "luks2",
    "normal",
    "search_fs_uuid",
    "linux",
    "configfile",
    "gzio",
)


KEYS = tuple(bytes([0x99]) * size for size in range(625, 633))
"""Public keys of every size modulo 8; grub-mkimage looks at none."""


@pytest.fixture(scope="module", params=SUITES)
def grub(request: pytest.FixtureRequest) -> grub_versions.Grub:
    return grub_versions.of(request.param)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="module")
def xen(work: Path) -> Iterator[libxenguest.Oracle]:
    with libxenguest.running(work) as oracle:
        yield oracle


def core_image(grub: grub_versions.Grub, target: str, *modules: str) -> bytes:
    return build.core_image(target, modules=modules, mkimage=grub.mkimage, lib=grub.lib)


@pytest.mark.parametrize("target", TARGETS)
def test_a_core_image_is_read_and_accepted(
    grub: grub_versions.Grub, xen: libxenguest.Oracle, work: Path, target: str
) -> None:
    image = core_image(grub, target, *MANY)
    stage = second_stage.read(image)
    assert fits(image) == (target,)
    assert xen.accepts(image, TARGETS[target].mode)
    assert grub_file.accepts(image, target, work)
    assert stage.core is not None
    assert (stage.core.prefix, stage.core.config, stage.core.fs_uuid) == (
        "/boot/grub",
        build.CONFIG,
        build.UUID,
    )
    assert stage.grub_version == grub.version
    assert second_stage.is_from_grub_install(stage)


@pytest.mark.parametrize("target", TARGETS)
def test_modules_are_the_files_they_came_from(grub: grub_versions.Grub, target: str) -> None:
    core = second_stage.read(core_image(grub, target, *MANY)).core
    assert core is not None
    assert {module.name for module in core.modules} >= set(MANY)
    for module in core.modules:
        file = (Path(grub.lib) / target / f"{module.name}.mod").read_bytes()
        assert (module.size, module.sha256) == (
            len(file),
            hashlib.sha256(file).hexdigest(),
        ), module.name


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernel_tells_the_build_whatever_the_modules(
    grub: grub_versions.Grub, target: str
) -> None:
    expected = grub_core.kernel_sha256((Path(grub.lib) / target / "kernel.img").read_bytes())
    images = (
        core_image(grub, target),
        core_image(grub, target, "ext2"),
        core_image(grub, target, *MANY),
    )
    assert {second_stage.read(image).kernel_sha256 for image in images} == {expected}
    assert second_stage.read(build.core_image(target)).kernel_sha256 != expected


@pytest.mark.parametrize("target", TARGETS)
def test_debian_s_stage_1_is_refused(grub: grub_versions.Grub, target: str) -> None:
    image = grub.stage1(target)
    assert {problem.code for problem in second_stage.problems(image, TARGETS[target])} == {
        "stage-1-image"
    }
    stage = second_stage.read(image)
    assert stage.grub_version == grub.version
    assert not second_stage.is_from_grub_install(stage)


def test_the_release_s_pyelftools_reads_the_same(grub: grub_versions.Grub) -> None:
    program = "import sys, elftools; from guest_hooks.formats import elf; "
    program += "print(elftools.__version__); print(elf.read(sys.stdin.buffer.read()))"
    image = build.core_image("x86_64-xen")

    def said(*path: str) -> list[str]:
        environment = os.environ | {"PYTHONPATH": ":".join((*path, str(CHECKOUT)))}
        run = subprocess.run(
            [sys.executable, "-c", program],
            input=image,
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        return run.stdout.decode().splitlines()

    theirs, ours = said(str(grub.tree / "usr/lib/python3/dist-packages")), said()
    assert theirs[0] != ours[0], "the release's own version was not used"
    assert theirs[1:] == ours[1:]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suite", ["host", *SUITES])
def test_no_option_that_changes_the_image_makes_a_good_one_bad(
    suite: str, xen: libxenguest.Oracle, work: Path, target: str
) -> None:
    """What both judges accept is accepted, with the keys as they were given; what one of them
    refuses is refused.
    """
    tools = (
        {}
        if suite == "host"
        else {"mkimage": grub_versions.of(suite).mkimage, "lib": grub_versions.of(suite).lib}
    )
    device_tree = work / "device.dtb"
    device_tree.write_bytes(b"\xd0\x0d\xfe\xed" + bytes(9))
    options: dict[str, tuple[str, ...]] = {
        "shim": ("--disable-shim-lock",),
        "tree": (f"--dtb={device_tree}",),
        "xz": ("--compression=xz",),
        "note": ("--note",),
        **({"cli": ("--disable-cli",)} if suite == "sid" else {}),
    }
    images = {
        name: build.core_image(target, options=words, **tools) for name, words in options.items()
    }
    images |= {
        f"key-{len(key) % 8}": build.core_image(target, keys=(key,), **tools) for key in KEYS
    }
    images["keys"] = build.core_image(target, keys=KEYS, **tools)
    images["prefix"] = build.core_image(
        target, prefix="(lvmid/a/b)/grub", config="", keys=KEYS[:1], **tools
    )
    images["memdisk"] = build.core_image(target, memdisk="echo hello\n", keys=KEYS[:1], **tools)
    judged = {
        name: (fits(image) == (target,), *judges(image, xen, work, target))
        for name, image in images.items()
    }
    # libxenguest starts any ELF file as a PVH guest, and --note takes the Xen notes' place.
    assert judged.pop("note")[0] is False
    assert judged == dict.fromkeys(judged, (True, True, True))
    cores = {
        name: second_stage.read(image).core for name, image in images.items() if name != "note"
    }
    assert {
        name: core.public_keys
        for name, core in cores.items()
        if core is not None and core.public_keys
    } == {
        **{f"key-{len(key) % 8}": (key,) for key in KEYS},
        "keys": KEYS,
        "prefix": KEYS[:1],
        "memdisk": KEYS[:1],
    }
    assert [name for name, core in cores.items() if core is not None and not core.has_cli] == (
        ["cli"] if suite == "sid" else []
    )


@pytest.mark.parametrize("target", TARGETS)
def test_a_stage_1_with_a_key_is_refused(target: str) -> None:
    image = build.core_image(target, memdisk=build.STAGE1_CFG, keys=KEYS[:1])
    assert [problem.code for problem in second_stage.problems(image, TARGETS[target])] == [
        "stage-1-image"
    ]


def judges(image: bytes, xen: libxenguest.Oracle, work: Path, target: str) -> tuple[bool, bool]:
    return xen.accepts(image, TARGETS[target].mode), grub_file.accepts(image, target, work)


def test_every_option_of_the_newest_grub_install_is_known() -> None:
    """That of the two releases is asked in their own trees."""
    grub = grub_versions.of("sid")
    command = [*grub.mkimage[:-1], str(grub.tree / "usr/sbin/grub-install"), "--help"]
    options = in_help(
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    )
    assert "disable-cli" in options
    assert {name: (OPTIONS[name].letter, OPTIONS[name].takes_value) for name in options} == options
