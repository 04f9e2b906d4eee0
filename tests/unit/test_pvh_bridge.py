# SPDX-License-Identifier: GPL-3.0-or-later
"""The PVH bridge: its layout, what it refuses, and its code run in an emulator wherever a
loader may put it.
"""

import os
import struct
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import UC_ARCH_X86, UC_HOOK_CODE, UC_HOOK_INSN, UC_HOOK_INTR, UC_MODE_32, Uc
from unicorn.x86_const import (
    UC_X86_INS_OUT,
    UC_X86_REG_EBX,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_EIP,
    UC_X86_REG_ESI,
    UC_X86_REG_ESP,
)

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf, pvh_bridge
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT
from tests.support.elf32 import Load, image

MIB = 1 << 20
EMULATOR_TRIES = 3
HALT = b"\xf4"
RSDP = 0xFC00_8000_1234_5678
BOOT_PARAMS = 0x8D000
"""Where GRUB 2.06 puts them in a PVH guest."""

PLAIN = image(
    [
        Load(paddr=MIB, data=b"\x90" * 5000, zeros=9000),
        Load(paddr=MIB + 14000, data=b"module" * 800),
    ],
    entry=MIB + 16,
)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A core image as GRUB makes it."""
    path = tmp_path_factory.mktemp("core") / "core.elf"
    subprocess.run(
        ["grub-mkimage", "-O", "i386-xen_pvh", "-o", str(path), "-p", "/boot/grub", "ext2"],
        check=True,
        capture_output=True,
    )
    return path.read_bytes()


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


def test_header_is_what_grub_reads(core: bytes) -> None:
    bridge = pvh_bridge.wrap(core)
    top = max(load.paddr + load.memsz for load in elf.read(core).loads)
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
    assert MIB + room >= top + len(core), (
        "what a loader reserves at 1 MiB holds the core image moved above its destination"
    )
    assert bridge[pvh_bridge.CORE_OFFSET :] == core


def test_grub_takes_it_for_a_kernel_and_for_no_xen_guest(core: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bridge"
    path.write_bytes(pvh_bridge.wrap(core))
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


def test_unwrap_gives_the_core_back(core: bytes) -> None:
    bridge = pvh_bridge.wrap(core)
    assert pvh_bridge.is_bridge(bridge)
    assert pvh_bridge.unwrap(bridge) == core
    assert not pvh_bridge.is_bridge(core)


@pytest.mark.parametrize("cut", [0, 1, 0x205, 0x268, 0x2A0, 1024, 1536, 1600, -5000, -1])
def test_a_cut_bridge_is_refused(core: bytes, cut: int) -> None:
    with pytest.raises(FormatError):
        pvh_bridge.unwrap(pvh_bridge.wrap(core)[:cut])


@pytest.mark.parametrize(
    "place", [0, 0x1F1, 0x214, 0x260, 0x270, 0x3FF, 0x400, 0x4A0, 0x540, 0x5FF]
)
def test_a_changed_bridge_is_refused(core: bytes, place: int) -> None:
    damaged = bytearray(pvh_bridge.wrap(core))
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


def execute(
    core: bytes, place: int, boot_params: int = BOOT_PARAMS, memory: int = 40 * MIB
) -> None:
    """As `_execute`, in a process of its own: the emulator aborts now and then, which says
    nothing of the code. In some processes it aborts each time, and in all their children: so a
    new one tries it, too.
    """
    for run in (*[_in_a_child] * EMULATOR_TRIES, *[_in_a_new_process] * EMULATOR_TRIES):
        code = run(core, place, boot_params, memory)
        if code >= 0:
            assert code == 0, (
                f"{place=:#x}, {boot_params=:#x}, {memory=:#x}: see the traceback on standard error"
            )
            return
    pytest.fail(f"the emulator died {2 * EMULATOR_TRIES} times")


def _in_a_child(core: bytes, place: int, boot_params: int, memory: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            _execute(core, place, boot_params, memory)
        except BaseException:  # noqa: BLE001 - a child of pytest must not return into it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _in_a_new_process(core: bytes, place: int, boot_params: int, memory: int) -> int:
    program = (
        "import sys; from tests.unit import test_pvh_bridge as test;"
        f"test._execute(sys.stdin.buffer.read(), {place}, {boot_params}, {memory})"
    )
    return subprocess.run(
        [sys.executable, "-c", program], input=core, cwd=CHECKOUT, check=False, timeout=120
    ).returncode


def _execute(core: bytes, place: int, boot_params: int, memory: int) -> None:
    """Load the bridge of `core` at `place` as a loader would, run it to the core's entry, and
    compare all of memory.
    """
    bridge = pvh_bridge.wrap(core)
    loads = [load for load in elf.read(core).loads if load.memsz]
    entry = elf.read(core).entry
    (room,) = struct.unpack_from("<I", bridge, 0x260)
    assert place + room <= memory
    machine = Uc(UC_ARCH_X86, UC_MODE_32)
    machine.mem_map(0, memory)
    before = bytearray(b"\xcc" * memory)
    before[boot_params : boot_params + 4096] = b"\xbb" * 4096
    struct.pack_into("<Q", before, boot_params + 0x70, RSDP)
    before[place : place + len(bridge) - pvh_bridge.SETUP_SIZE] = bridge[pvh_bridge.SETUP_SIZE :]
    machine.mem_write(0, bytes(before))
    machine.reg_write(UC_X86_REG_ESI, boot_params)
    machine.reg_write(UC_X86_REG_ESP, 0)
    machine.reg_write(UC_X86_REG_EFLAGS, 0x402)
    page = boot_params if boot_params <= 0xFF000 else 0x8000
    # The loader's place may cover the entry's address: only what follows the code in the page has
    # arrived.
    moved: list[int] = []
    machine.hook_add(
        UC_HOOK_CODE, lambda _uc, address, *_: moved.append(address), begin=page, end=page + 4096
    )
    machine.hook_add(
        UC_HOOK_CODE, lambda uc, *_: uc.emu_stop() if moved else None, begin=entry, end=entry
    )
    machine.hook_add(UC_HOOK_INTR, lambda *_: pytest.fail("an exception in the bridge's code"))
    machine.emu_start(place, memory, count=200_000_000)
    after = machine.mem_read(0, memory)

    assert machine.reg_read(UC_X86_REG_EIP) == entry
    info = machine.reg_read(UC_X86_REG_EBX)
    assert info == page, "low memory that a loader gives away"
    magic, version, flags, modules, modlist, cmdline, rsdp, memmap, entries, reserved = (
        struct.unpack_from("<IIIIQQQQII", after, info)
    )
    assert (magic, version, flags, modules, modlist) == (0x336EC578, 1, 0, 0, 0)
    assert (rsdp, memmap, entries, reserved) == (RSDP, 0, 0, 0)
    assert info < cmdline < info + 4096
    assert after[cmdline] == 0
    expected = before
    for load in loads:
        expected[load.paddr : load.paddr + load.memsz] = core[
            load.offset : load.offset + load.filesz
        ].ljust(load.memsz, b"\0")
        assert (
            after[load.paddr : load.paddr + load.memsz]
            == expected[load.paddr : load.paddr + load.memsz]
        ), hex(load.paddr)
    # Outside of what is its own, of what the loader reserved for it and of the core image's places,
    # nothing has changed.
    for start, end in (
        (page, page + 4096),
        (boot_params, boot_params + 4096),
        (place, place + room),
    ):
        expected[start:end] = after[start:end]
    assert after == expected


def test_without_an_rsdp_it_says_so_and_halts() -> None:
    machine = Uc(UC_ARCH_X86, UC_MODE_32)
    machine.mem_map(0, 4 * MIB)
    machine.mem_write(2 * MIB, pvh_bridge.wrap(PLAIN)[pvh_bridge.SETUP_SIZE :])
    before = bytes(machine.mem_read(MIB, MIB))
    machine.reg_write(UC_X86_REG_ESI, BOOT_PARAMS)
    said = bytearray()
    # The last argument has another name in each release.
    machine.hook_add(
        UC_HOOK_INSN,
        lambda _uc, port, _size, value, _data: said.append(value) if port == 0xE9 else None,
        None,
        1,
        0,
        UC_X86_INS_OUT,
    )
    machine.emu_start(2 * MIB, 4 * MIB, count=100_000)
    assert (
        bytes(said) == b"xen-guest-bootloader: halted: the loader of the PVH bridge gave no RSDP\n"
    )
    assert machine.mem_read(machine.reg_read(UC_X86_REG_EIP) - 1, 1) == b"\xf4", "hlt"
    assert machine.mem_read(MIB, MIB) == before


@pytest.mark.parametrize(
    "place", [16 * MIB, 24 * MIB + 4096, MIB, MIB + 4096, MIB + 65536, 2 * MIB], ids=hex
)
def test_grubs_core_starts_from_anywhere(core: bytes, place: int) -> None:
    execute(core, place)


PLACES = sorted(
    {MIB + step for step in range(0, 32768, 512)}
    | {MIB + step for step in (1, 3, 8191, 13999, 14001, 18799, 18801)}
)


def test_every_overlap_of_the_bridge_and_its_destination() -> None:
    for place in PLACES:
        execute(PLAIN, place, memory=4 * MIB)


@pytest.mark.parametrize(
    "boot_params",
    [0x1000, 0x7000, 0x8000, 0x90000, 0x9F000, 0xFF000, 0xFF001, MIB, 2 * MIB, 30 * MIB],
    ids=hex,
)
def test_boot_params_anywhere(boot_params: int) -> None:
    execute(PLAIN, 3 * MIB, boot_params)
    execute(PLAIN, 16 * MIB, boot_params)


@st.composite
def cores(draw: st.DrawFn) -> bytes:
    at = MIB
    loads = []
    for number in range(draw(st.integers(1, pvh_bridge.MAX_SEGMENTS))):
        at += draw(st.integers(0, 5000))
        size = draw(st.integers(1 if number == 0 else 0, 6000))
        data = draw(st.binary(min_size=1, max_size=7)) * size
        zeros = draw(st.integers(0, 6000))
        loads.append(Load(paddr=at, data=data[:size], zeros=zeros))
        at += size + zeros
    first = loads[0]
    offset = draw(st.integers(0, len(first.data) - 1))
    entry = first.paddr + offset
    # What stands at the entry is translated, and of some instructions that do not exist the
    # emulator's translator dies (FF D8): one that is whole and the last of its block stands there.
    data = first.data[:offset] + HALT + first.data[offset + 1 :]
    loads[0] = replace(first, data=data)
    return image(draw(st.permutations(loads)), entry=entry)


@settings(max_examples=25, deadline=None)
@given(data=cores(), place=st.integers(MIB, MIB + 120_000))
def test_any_core_from_any_place(data: bytes, place: int) -> None:
    assert pvh_bridge.unwrap(pvh_bridge.wrap(data)) == data
    execute(data, place, memory=4 * MIB)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_raise_nothing_but_format_errors(data: st.DataObject) -> None:
    damaged = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 160))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert pvh_bridge.unwrap(pvh_bridge.wrap(bytes(damaged))) == damaged
