# SPDX-License-Identifier: GPL-3.0-or-later
"""The PVH bridge: its layout, what it refuses, and its code run in an emulator wherever a
loader may put it.
"""

import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf, pvh_bridge
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT
from tests.support.elf32 import MIB, PLAIN, Load, image


def test_code_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    source = CHECKOUT / "guest_hooks/formats/pvh_bridge.S"
    subprocess.run(["as", "--32", "-o", tmp_path / "bridge.o", source], check=True)
    subprocess.run(
        ["objcopy", "-O", "binary", "-j", ".text", tmp_path / "bridge.o", tmp_path / "bridge.bin"],
        check=True,
    )
    assembled = (tmp_path / "bridge.bin").read_bytes()
    assert len(assembled) == pvh_bridge.CODE_SIZE
    assert assembled.rstrip(b"\0") == pvh_bridge.CODE


def test_header_is_what_grub_reads(pvh_core: bytes) -> None:
    bridge = pvh_bridge.wrap(pvh_core)
    top = max(load.paddr + load.memsz for load in elf.read(pvh_core).loads)
    assert bridge[0x1FE:0x200] == b"\x55\xaa"
    assert bridge[0x202:0x206] == b"HdrS"
    assert 0x202 + bridge[0x201] == 0x268, "the header's length"
    assert (bridge[0x1F1] + 1) * 512 == pvh_bridge.SETUP_SIZE
    fields = {
        "version": (0x206, "<H", 0x020C),
        "loadflags": (0x211, "<B", 1),
        "code32_start": (0x214, "<I", MIB),
        "kernel_alignment": (0x230, "<I", 4096),
        "relocatable": (0x234, "<B", 1),
        "min_alignment": (0x235, "<B", 12),
        "xloadflags": (0x236, "<H", 0),
        "pref_address": (0x258, "<Q", 16 * MIB),
        "handover_offset": (0x264, "<I", 0),
    }
    for name, (offset, layout, expected) in fields.items():
        assert struct.unpack_from(layout, bridge, offset) == (expected,), name
    (room,) = struct.unpack_from("<I", bridge, 0x260)
    assert MIB + room >= top + len(pvh_core), (
        "what a loader reserves at 1 MiB holds the core image moved above its destination"
    )
    assert bridge[pvh_bridge.CORE_OFFSET :] == pvh_core


def test_grub_takes_it_for_a_kernel_and_for_no_xen_guest(pvh_core: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bridge"
    path.write_bytes(pvh_bridge.wrap(pvh_core))
    verdicts = {
        kind: subprocess.run(["grub-file", f"--is-{kind}", path], check=False).returncode == 0
        for kind in _KINDS
    }
    assert verdicts == {
        "x86-linux": True,
        "x86_64-xen-domu": False,
        "i386-xen-pae-domu": False,
        "x86-multiboot": False,
    }


_KINDS = ("x86-linux", "x86_64-xen-domu", "i386-xen-pae-domu", "x86-multiboot")


def test_unwrap_gives_the_core_back(pvh_core: bytes) -> None:
    bridge = pvh_bridge.wrap(pvh_core)
    assert pvh_bridge.is_bridge(bridge)
    assert pvh_bridge.unwrap(bridge) == pvh_core
    assert not pvh_bridge.is_bridge(pvh_core)


@pytest.mark.parametrize("cut", [0, 1, 0x205, 0x268, 0x2A0, 1024, 1536, 1600, -5000, -1])
def test_a_cut_bridge_is_refused(pvh_core: bytes, cut: int) -> None:
    with pytest.raises(FormatError):
        pvh_bridge.unwrap(pvh_bridge.wrap(pvh_core)[:cut])


@pytest.mark.parametrize(
    "place", [0, 0x1F1, 0x214, 0x260, 0x270, 0x3FF, 0x400, 0x4A0, 0x540, 0x5FF]
)
def test_a_changed_bridge_is_refused(pvh_core: bytes, place: int) -> None:
    damaged = bytearray(pvh_bridge.wrap(pvh_core))
    damaged[place] ^= 1
    with pytest.raises(FormatError) as caught:
        pvh_bridge.unwrap(bytes(damaged))
    assert caught.value.code == "bridge-damaged"


def _one(paddr: int = MIB, size: int = 64, zeros: int = 0) -> Load:
    return Load(paddr=paddr, data=bytes(size), zeros=zeros)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "not-elf", id="empty"),
        pytest.param(b"#!/bin/sh\n", "not-elf", id="text"),
        pytest.param(PLAIN[:40], "truncated", id="cut-in-header"),
        pytest.param(PLAIN[:3000], "note-malformed", id="cut-before-the-notes"),
        pytest.param(
            image([_one()], entry=MIB).replace(b"\x74\0\0\0", b"\xf4\xff\0\0", 1),
            "truncated",
            id="segment-outside-file",
        ),
        pytest.param(image([_one()], entry=MIB, machine=62), "not-pvh-core", id="x86-64-machine"),
        pytest.param(image([_one()], entry=MIB, type_=1), "not-pvh-core", id="object-file"),
        pytest.param(image([_one()], entry=MIB, notes=0), "not-pvh-core", id="no-note"),
        pytest.param(image([_one()], entry=MIB, notes=2), "not-pvh-core", id="two-notes"),
        pytest.param(
            image([_one()], entry=MIB, note_entry=MIB + 4),
            "not-pvh-core",
            id="note-names-another-entry",
        ),
        pytest.param(image([], entry=MIB), "segment-count", id="no-segment"),
        pytest.param(
            image([_one(MIB + 64 * i) for i in range(9)], entry=MIB),
            "segment-count",
            id="nine-segments",
        ),
        pytest.param(
            image([_one(zeros=-1)], entry=MIB), "segment-size", id="file-larger-than-memory"
        ),
        pytest.param(
            image([_one(), _one(MIB - 64)], entry=MIB), "segment-out-of-range", id="below-1-mib"
        ),
        pytest.param(image([_one(0)], entry=0), "segment-out-of-range", id="at-0"),
        pytest.param(
            image([_one(), _one(16 * MIB - 63)], entry=MIB), "no-room", id="one-byte-above-16-mib"
        ),
        pytest.param(image([_one(zeros=15 * MIB)], entry=MIB), "no-room", id="zeros-above-16-mib"),
        pytest.param(image([_one(0xFFFFFFC1)], entry=MIB), "no-room", id="wraps-at-4-gib"),
        pytest.param(
            image([_one(), _one(MIB + 63)], entry=MIB), "segment-overlap", id="overlap-by-a-byte"
        ),
        pytest.param(
            image([_one(MIB + 100), _one(zeros=200)], entry=MIB),
            "segment-overlap",
            id="zeros-over-the-first",
        ),
        pytest.param(
            image([_one()], entry=MIB + 64), "entry-outside-segments", id="entry-behind-the-end"
        ),
        pytest.param(
            image([_one(zeros=99)], entry=MIB + 70), "entry-outside-segments", id="entry-in-zeros"
        ),
    ],
)
def test_refuses_what_it_cannot_carry(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        pvh_bridge.wrap(data)
    assert caught.value.code == code


def test_the_other_targets_are_no_pvh_cores(tmp_path: Path) -> None:
    for name in ("x86_64-xen", "i386-xen"):
        path = tmp_path / name
        subprocess.run(
            ["grub-mkimage", "-O", name, "-o", path, "-p", "/boot/grub"],
            check=True,
            capture_output=True,
        )
        with pytest.raises(FormatError) as caught:
            pvh_bridge.wrap(path.read_bytes())
        assert caught.value.code == "not-pvh-core"
    assert TARGETS["i386-xen_pvh"].bridge


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_raise_nothing_but_format_errors(data: st.DataObject) -> None:
    damaged = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 160))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert pvh_bridge.unwrap(pvh_bridge.wrap(bytes(damaged))) == damaged
