# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file may be installed as a second stage: every rule, kept by what GRUB's tools make
and broken once.
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
    as_kind,
    as_section,
    block,
    cut,
    extra,
    filesz_over_memsz,
    header,
    in_object,
    kernel_to_zero,
    lacking,
    note,
    segment,
    shifted_mods,
    split_over_two_segments,
    twice_the_same_module,
    with_shnote,
    zeroed,
)
from tests.support.second_stages import LOAD_KERNEL, LOAD_MODS, NOTE, core_image

PV64, PV32, PVH = "x86_64-xen", "i386-xen", "i386-xen_pvh"
ALL, PV = (PV64, PV32, PVH), (PV64, PV32)


def codes(image: bytes, target: str) -> set[str]:
    return {problem.code for problem in second_stage.problems(image, TARGETS[target])}


@pytest.mark.parametrize("target", ALL)
def test_a_core_image_fits_its_target_and_no_other(target: str) -> None:
    assert second_stage.problems(core_image(target), TARGETS[target]) == ()
    assert second_stage.fits(core_image(target)) == (target,)


BROKEN = [
    pytest.param(ALL, lambda _: b"", {"not-elf"}, id="empty"),
    pytest.param(ALL, lambda _: b"#!/bin/sh\nexit 0\n", {"not-elf"}, id="text"),
    pytest.param(ALL, lambda image: image[:40], {"truncated"}, id="cut-in-the-elf-header"),
    pytest.param(ALL, cut, {"truncated", "note-malformed"}, id="cut-in-half"),
    pytest.param(
        ALL, lambda image: build.put(image, 4, b"\x03"), {"elf-header"}, id="class-unknown"
    ),
    pytest.param(
        ALL, lambda image: build.put(image, 5, b"\x00"), {"elf-header"}, id="byte-order-unknown"
    ),
    pytest.param(
        ALL, lambda image: build.put(image, 6, b"\x02"), {"elf-header"}, id="version-unknown"
    ),
    pytest.param(ALL, header(version=0), {"elf-header"}, id="version-zero"),
    pytest.param(ALL, header(machine=40), {"machine-mismatch"}, id="arm"),
    pytest.param(ALL, header(type=1), {"not-executable"}, id="relocatable"),
    pytest.param(ALL, header(type=3), {"not-executable"}, id="shared-object"),
    pytest.param(ALL, header(phoff=1 << 30), {"truncated"}, id="program-headers-outside"),
    pytest.param(ALL, header(shoff=1 << 30), {"truncated"}, id="section-headers-outside"),
    pytest.param(ALL, header(phnum=0xFFFF), {"elf-header"}, id="65535-program-headers"),
    pytest.param(ALL, header(shnum=0xFF00), {"elf-header"}, id="65280-section-headers"),
    pytest.param(ALL, header(phentsize=20), {"elf-header"}, id="short-program-headers"),
    pytest.param(
        ALL,
        header(phnum=0),
        {"no-load-segment", "no-xen-notes", "no-module-block"},
        id="no-program-headers",
    ),
    pytest.param(
        ALL, segment(LOAD_KERNEL, offset=1 << 31), {"truncated"}, id="load-outside-the-file"
    ),
    pytest.param(ALL, filesz_over_memsz, {"load-size"}, id="filesz-over-memsz"),
    pytest.param(ALL, segment(LOAD_KERNEL, memsz=0x800000), {"load-overlap"}, id="loads-overlap"),
    pytest.param(
        ALL,
        segment(LOAD_KERNEL, flags=4),
        {"load-not-loadable", "entry-outside"},
        id="load-read-only",
    ),
    pytest.param(ALL, segment(LOAD_KERNEL, flags=6), {"entry-outside"}, id="load-not-executable"),
    pytest.param(
        ALL, segment(LOAD_MODS, memsz=0xFFFFFFFF), {"load-out-of-range"}, id="load-above-4-gib"
    ),
    pytest.param(
        (PV64,), segment(LOAD_MODS, memsz=(1 << 64) - 1), {"load-out-of-range"}, id="load-wraps"
    ),
    pytest.param(
        ALL, header(shnum=0, shoff=1 << 30), {"truncated"}, id="no-section-headers-outside"
    ),
    pytest.param(
        ALL, segment(LOAD_MODS, memsz=0x100000), {"module-block"}, id="block-longer-in-memory"
    ),
    pytest.param(ALL, lambda image: build.with_notes(image, b""), {"no-xen-notes"}, id="no-notes"),
    pytest.param(
        ALL,
        lambda image: build.with_notes(image, build.note(1, b"GNU ", owner=b"GNU\0")),
        {"no-xen-notes"},
        id="gnu-notes-only",
    ),
    pytest.param(ALL, with_shnote, {"no-xen-notes"}, id="notes-not-announced"),
    pytest.param(
        ALL, segment(NOTE, offset=1 << 30), {"note-malformed"}, id="notes-outside-the-file"
    ),
    pytest.param(
        ALL,
        lambda image: build.with_notes(image, build.notes(image)[:-6]),
        {"note-malformed"},
        id="note-cut",
    ),
    pytest.param(
        ALL, extra(build.note(6, b"GRUB\0", size=1 << 31)), {"note-malformed"}, id="note-of-2-gib"
    ),
    pytest.param(
        ALL,
        extra(build.note(0, b"x\0", owner=b"Xen\0\0\0\0\0")),
        {"note-malformed"},
        id="owner-too-long",
    ),
    pytest.param(
        ALL, extra(build.note(0, b"x\0", owner=b"Xen")), {"note-malformed"}, id="owner-too-short"
    ),
    pytest.param(ALL, extra(build.note(0, b"info")), {"note-malformed"}, id="string-without-end"),
    pytest.param(
        ALL, extra(build.note(14, b"\0\0\0")), {"note-malformed"}, id="number-of-three-bytes"
    ),
    pytest.param(
        ALL,
        extra(build.note(0, b"a\0"), build.note(0, b"a\0")),
        {"note-duplicate"},
        id="note-twice",
    ),
    pytest.param(PV, extra(build.note(1, b"\0\0\0\0")), {"note-duplicate"}, id="entry-twice"),
    pytest.param(PV, extra(build.note(8, b"linux\0")), {"note-duplicate"}, id="loader-conflicts"),
    pytest.param(
        (PVH,),
        extra(build.note(18, b"\0\0\x11\0")),
        {"note-duplicate"},
        id="phys32-entry-conflicts",
    ),
    pytest.param(ALL, extra(build.note(15, bytes(8))), {"note-layout"}, id="init-p2m"),
    pytest.param(ALL, extra(build.note(4, b"\0\x10\0\0")), {"note-layout"}, id="paddr-offset"),
    pytest.param(ALL, extra(build.note(10, b"!dom0\0")), {"note-features"}, id="dom0-only"),
    pytest.param(PV, lacking(8), {"note-missing"}, id="loader-missing"),
    pytest.param(PV, note(8, b"genericX\0"), {"note-loader"}, id="loader-generic-x"),
    pytest.param(PV, note(8, b"linux\0"), {"note-loader"}, id="loader-linux"),
    pytest.param(PV, lacking(5), {"note-missing"}, id="xen-version-missing"),
    pytest.param(PV, note(5, b"xen-4.0\0"), {"note-xen-version"}, id="xen-version-4"),
    pytest.param(PV, lacking(3), {"note-missing"}, id="virt-base-missing"),
    pytest.param(
        PV, note(3, b"\0\x18\0\0"), {"note-virt-base", "load-address"}, id="virt-base-0x1800"
    ),
    pytest.param(
        PV,
        note(3, b"\0\x10\0\0"),
        {"note-virt-base", "load-address"},
        id="virt-base-above-the-kernel",
    ),
    pytest.param(PV, lacking(1), {"note-missing"}, id="entry-missing"),
    pytest.param(PV, note(1, b"\0\0\0\x01"), {"entry-outside"}, id="entry-out-of-bounds"),
    pytest.param(PV, note(1, b"\0\0\x20\0"), {"entry-outside"}, id="entry-in-bss"),
    pytest.param((PV32,), lacking(9), {"note-missing"}, id="pae-missing"),
    pytest.param((PV32,), note(9, b"no\0"), {"note-pae-mode"}, id="pae-no"),
    pytest.param(
        PV, extra(build.note(18, b"\0\0\x10\0")), {"pvh-image"}, id="pv-with-phys32-entry"
    ),
    pytest.param(
        (PVH,),
        lambda image: build.with_notes(image, build.note(8, b"generic\0")),
        {"note-missing"},
        id="phys32-entry-missing",
    ),
    pytest.param(
        (PVH,), note(18, b"\0\0\x10\0\0\0\0\0"), {"note-size"}, id="phys32-entry-of-8-bytes"
    ),
    pytest.param(
        (PVH,),
        note(18, b"\x10\0\x10\0"),
        {"entry-mismatch"},
        id="phys32-entry-is-not-the-elf-entry",
    ),
    pytest.param(
        (PVH,), header(entry=0x100010), {"entry-mismatch"}, id="elf-entry-is-not-phys32-entry"
    ),
    pytest.param(
        (PVH,),
        note(18, b"\0\0\0\x01"),
        {"entry-mismatch", "entry-outside"},
        id="phys32-entry-out-of-bounds",
    ),
    pytest.param(ALL, kernel_to_zero, {"kernel-zeroed"}, id="text-zeroed"),
    pytest.param(ALL, zeroed(0x2000, 1024), {"kernel-zeroed"}, id="a-block-of-text-zeroed"),
    pytest.param(ALL, block(0, b"\0\0\0\0"), {"no-module-block"}, id="block-without-magic"),
    pytest.param(ALL, segment(LOAD_MODS, type=0), {"no-module-block"}, id="block-not-loaded"),
    pytest.param(ALL, shifted_mods, {"module-block"}, id="block-not-behind-the-kernel"),
    pytest.param((PV32, PVH), block(8, b"\x10\0\0\0"), {"module-block"}, id="block-size-wrong-32"),
    pytest.param((PV64,), block(16, b"\x10\0\0\0"), {"module-block"}, id="block-size-wrong-64"),
    pytest.param(
        (PV32, PVH), block(4, b"\xff\xff\xff\x7f"), {"module-block"}, id="block-offset-wrong-32"
    ),
    pytest.param(
        (PV64,), block(8, b"\xff\xff\xff\x7f"), {"module-block"}, id="block-offset-wrong-64"
    ),
    pytest.param(ALL, in_object(0, 4, b"\0\0\0\0"), {"module-block"}, id="object-of-no-bytes"),
    pytest.param(ALL, in_object(0, 4, b"\x09\0\0\0"), {"module-block"}, id="object-not-aligned"),
    pytest.param(
        ALL, in_object(0, 4, b"\xf8\xff\xff\x7f"), {"module-block"}, id="object-over-the-end"
    ),
    pytest.param(ALL, in_object(0, 8, b"\0\0\0\0"), {"module-block"}, id="module-is-no-elf"),
    pytest.param(ALL, in_object(0, 8 + 18, b"\x28\0"), {"module-block"}, id="module-for-arm"),
    pytest.param(ALL, as_kind(0, 2), {"module-block"}, id="two-configurations"),
    pytest.param(ALL, as_kind(2, 3), {"module-block"}, id="two-prefixes"),
    pytest.param(
        ALL,
        in_object(2, 8, b"x" * len(build.CONFIG) + b"x" * 9),
        {"module-block"},
        id="configuration-without-end",
    ),
    pytest.param(ALL, twice_the_same_module, {"module-block"}, id="module-twice"),
]


@pytest.mark.parametrize(("targets", "damage", "expected"), BROKEN)
def test_a_broken_rule_is_refused_by_its_name(
    targets: tuple[str, ...], damage: Damage, expected: set[str]
) -> None:
    for target in targets:
        image = damage(core_image(target))
        assert expected <= codes(image, target), target
        assert second_stage.fits(image) == ()


BIG_ENDIAN = (
    b"\x7fELF\x01\x02\x01"
    + bytes(9)
    + bytes.fromhex("0002 0003 00000001")
    + bytes(16)
    + bytes.fromhex("0034")
    + bytes(10)
)


@pytest.mark.parametrize(
    ("image", "target", "expected"),
    [
        pytest.param(
            core_image(PV32), PV64, {"class-mismatch", "machine-mismatch"}, id="i386-for-x86_64"
        ),
        pytest.param(
            core_image(PV64),
            PVH,
            {"class-mismatch", "machine-mismatch", "note-missing"},
            id="x86_64-for-pvh",
        ),
        pytest.param(core_image(PVH), PV32, {"pvh-image", "note-missing"}, id="pvh-for-i386"),
        pytest.param(core_image(PV32), PVH, {"note-missing"}, id="i386-for-pvh"),
        pytest.param(BIG_ENDIAN, PV32, {"encoding-mismatch"}, id="big-endian"),
    ],
)
def test_an_image_for_something_else_is_refused(
    image: bytes, target: str, expected: set[str]
) -> None:
    assert expected <= codes(image, target)


@pytest.mark.parametrize("target", ALL)
def test_every_problem_is_told_at_once(target: str) -> None:
    image = build.with_header(core_image(target), type=1, machine=40)
    image = build.with_notes(image, build.note(0, b"a\0") * 2 + build.notes(image))
    assert codes(image, target) >= {"not-executable", "machine-mismatch", "note-duplicate"}


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
