# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of a second stage, broken in an image that GRUB made: it is refused by that rule."""

import pytest

from tests.support import second_stages as build
from tests.support.second_stage_damage import (
    Damage,
    as_kind,
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
    twice_the_same_module,
    with_shnote,
    zeroed,
)
from tests.support.second_stages import LOAD_KERNEL, LOAD_MODS, NOTE, core_image, fits
from tests.unit.formats.test_second_stage import ALL, PV, PV32, PV64, PVH, codes

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
        assert fits(image) == ()


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
