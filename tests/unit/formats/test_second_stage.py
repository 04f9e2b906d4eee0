# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file may be installed as a second stage: what GRUB's tools make, and what only looks
like it.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS
from tests.support import second_stages as build
from tests.support.second_stage_damage import (
    Damage,
    as_section,
    extra,
    split_over_two_segments,
)
from tests.support.second_stages import LOAD_KERNEL, LOAD_MODS, core_image, fits

PV64, PV32, PVH = "x86_64-xen", "i386-xen", "i386-xen_pvh"
ALL, PV = (PV64, PV32, PVH), (PV64, PV32)


def codes(image: bytes, target: str) -> set[str]:
    return {problem.code for problem in second_stage.problems(image, TARGETS[target])}


@pytest.mark.parametrize("target", ALL)
def test_a_core_image_fits_its_target_and_no_other(target: str) -> None:
    assert second_stage.problems(core_image(target), TARGETS[target]) == ()
    assert fits(core_image(target)) == (target,)


@pytest.mark.parametrize("target", ALL)
def test_every_truncation_is_refused(target: str) -> None:
    image = core_image(target)
    sizes = [*range(0, len(image), 512), *range(len(image) - 64, len(image))]
    assert [
        size for size in sizes if not second_stage.problems(image[:size], TARGETS[target])
    ] == []


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    "image_of",
    [
        pytest.param(extra(build.note(3, b"GNU's own", owner=b"GNU\0")), id="notes-of-others"),
        pytest.param(
            extra(build.note(8, b"no string", owner=b"NetBSD\0\0")),
            id="a-number-of-xen's-from-another",
        ),
        pytest.param(
            extra(build.note(0, b"hello\0"), build.note(0x1000001, b"")),
            id="harmless-notes-of-xen's",
        ),
        pytest.param(
            extra(build.note(10, b"writable_page_tables|pae_pgdir_above_4gb\0")),
            id="features-it-can-use",
        ),
        pytest.param(
            lambda image: build.with_segment(image, LOAD_KERNEL, align=0x200000), id="not-congruent"
        ),
    ],
)
def test_what_is_no_fault_is_no_problem(target: str, image_of: Damage) -> None:
    assert second_stage.problems(image_of(core_image(target)), TARGETS[target]) == ()


@pytest.mark.parametrize("target", PV)
def test_several_note_segments_are_fine(target: str) -> None:
    assert codes(split_over_two_segments(core_image(target)), target) == set()


@pytest.mark.parametrize("target", [PV64, PVH])
def test_note_sections_do_where_there_is_no_note_segment(target: str) -> None:
    assert codes(as_section(core_image(target)), target) == set()


@pytest.mark.parametrize(
    ("targets", "image_of"),
    [
        pytest.param(
            ALL, lambda target: core_image(target, memdisk=build.STAGE1_CFG), id="memdisk"
        ),
        pytest.param(
            ALL, lambda target: core_image(target, config=build.STAGE1_CFG), id="configuration"
        ),
        pytest.param(
            ALL, lambda target: build.standalone_image(target, build.STAGE1_CFG), id="mkstandalone"
        ),
        pytest.param(
            (PVH,),
            lambda target: core_image(
                target, prefix="(memdisk)/boot/grub", memdisk=build.PVH_STAGE1_CFG
            ),
            id="debian's-pvh-stage-1",
        ),
    ],
)
def test_a_stage_1_image_is_refused(
    targets: tuple[str, ...], image_of: Callable[[str], bytes]
) -> None:
    for target in targets:
        assert codes(image_of(target), target) == {"stage-1-image"}


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    "cfg",
    ["linux /vmlinuz\nboot\n", "# not like pvboot-x86_64.elf at all\nlinux /vmlinuz\n"],
    ids=["own", "comment"],
)
def test_an_admin_s_own_image_with_a_memdisk_is_valid(target: str, cfg: str) -> None:
    image = build.standalone_image(target, cfg)
    assert codes(image, target) == set()
    assert not second_stage.is_from_grub_install(second_stage.read(image))


def linux(image: bytes) -> bytes:
    """A PV kernel has the notes and no module block."""
    return build.with_segment(image, LOAD_MODS, type=0)


@pytest.mark.parametrize("target", PV)
def test_a_kernel_with_xen_s_notes_is_refused(target: str) -> None:
    image = build.with_note(linux(core_image(target)), 6, b"linux\0")
    assert codes(image, target) == {"no-module-block"}
    stage = second_stage.read(image)
    assert (stage.core, stage.grub_version) == (None, "")
    assert not second_stage.is_from_grub_install(stage)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, True, id="by-uuid"),
        pytest.param(
            {
                "config": build.CONFIG.replace(
                    f"fs_uuid {build.UUID}", "file /boot/grub/uuid/1a2b.uuid"
                )
            },
            True,
            id="by-file",
        ),
        pytest.param(
            {"config": build.CONFIG.replace("root ", "root hint0 --hint='hd0,msdos1' ")},
            True,
            id="with-hints",
        ),
        pytest.param({"config": "", "prefix": "(lvmid/abc/def)/boot/grub"}, True, id="on-lvm"),
        pytest.param(
            {"config": "cryptomount -u 0123456789\n", "prefix": "(lvmid/abc/def)/grub"},
            True,
            id="lvm-on-luks",
        ),
        pytest.param({"config": "cryptomount -u 0123456789\n" + build.CONFIG}, True, id="luks"),
        pytest.param({"config": "set debug='all'\n" + build.CONFIG}, True, id="debug-image"),
        pytest.param({"config": ""}, False, id="a-bare-path"),
        pytest.param(
            {"config": "", "prefix": "(memdisk)/boot/grub", "memdisk": "linux /vmlinuz\n"},
            False,
            id="memdisk",
        ),
        pytest.param(
            {"config": build.CONFIG + "configfile /boot/my.cfg\n"},
            False,
            id="more-than-grub-install-says",
        ),
        pytest.param(
            {"config": build.CONFIG.replace(" \n", "; configfile /my.cfg\n", 1)},
            False,
            id="more-on-one-line",
        ),
        pytest.param({"config": "search.file /marker root\n"}, False, id="own-search"),
        pytest.param({"config": build.CONFIG.splitlines()[0] + "\n"}, False, id="no-prefix-set"),
    ],
)
def test_whose_work_an_image_is(options: dict[str, str], expected: bool) -> None:
    image = core_image(PV64, **options)
    assert second_stage.is_from_grub_install(second_stage.read(image)) is expected


def test_what_is_read() -> None:
    image = core_image(PV64)
    stage = second_stage.read(image)
    assert (stage.elf_class, stage.machine, stage.entry, stage.size) == (64, 62, 0, len(image))
    assert stage.core is not None
    assert (stage.core.prefix, stage.core.config, stage.core.fs_uuid) == (
        "/boot/grub",
        build.CONFIG,
        build.UUID,
    )
    assert stage.grub_version == stage.core.grub_version != ""
    assert [note.name for note in stage.notes] == [
        "GUEST_OS",
        "LOADER",
        "XEN_VERSION",
        "ENTRY",
        "VIRT_BASE",
    ]


mutations = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)


@given(target=st.sampled_from(ALL), edits=mutations, size=st.integers(0, 1 << 20))
def test_mutated_bytes_are_judged_and_never_crash(
    target: str, edits: list[tuple[int, bytes]], size: int
) -> None:
    image = core_image(target)
    block = build.block_at(image)
    for at, new in edits:
        # where structure is: headers, module block, notes
        spots = (at % 512, block + at % 4096, len(image) - 1 - at % 256)
        image = build.put(image, spots[at % 3], new)
    survives(image if size % 3 else image[: size % len(image)])


@given(st.binary(max_size=4096).map(lambda tail: b"\x7fELF" + tail) | st.binary(max_size=4096))
def test_random_bytes_are_judged_and_never_crash(data: bytes) -> None:
    survives(data)


def survives(data: bytes) -> None:
    with suppress(FormatError):
        second_stage.read(data)
    for target in TARGETS.values():
        for problem in second_stage.problems(data, target):
            assert problem.code
            assert problem.hint
