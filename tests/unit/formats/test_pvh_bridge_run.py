# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge's code, run by an emulator from wherever a loader may put it."""

import os
import struct
import traceback
from dataclasses import replace

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

from guest_hooks.formats import elf, pvh_bridge
from tests.support.elf32 import MIB, PLAIN, Load, image

EMULATOR_TRIES = 3

HALT = b"\xf4"

RSDP = 0xFC00_8000_1234_5678

BOOT_PARAMS = 0x8D000
"""Where GRUB 2.06 puts them in a PVH guest."""


def execute(
    core: bytes, place: int, boot_params: int = BOOT_PARAMS, memory: int = 40 * MIB
) -> None:
    """As `_execute`, in a process of its own: the emulator aborts now and then, which says
    nothing of the code.
    """
    for _ in range(EMULATOR_TRIES):
        child = os.fork()
        if child == 0:
            try:
                _execute(core, place, boot_params, memory)
            except BaseException:  # noqa: BLE001 - a child of pytest must not return into it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code >= 0:
            assert code == 0, (
                f"{place=:#x}, {boot_params=:#x}, {memory=:#x}: see the traceback on standard error"
            )
            return
    pytest.fail(f"the emulator died {EMULATOR_TRIES} times")


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
def test_grubs_core_starts_from_anywhere(pvh_core: bytes, place: int) -> None:
    execute(pvh_core, place)


PLACES = sorted(
    {MIB + step for step in range(0, 32768, 1024)}
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
