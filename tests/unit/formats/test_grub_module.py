# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's modules as objects: a real one with damage in its header or its section table."""

import struct
from pathlib import Path

import pytest

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_module
from guest_hooks.formats.elf import SHT_NOBITS
from guest_hooks.targets import EM_X86_64

REAL = Path("/usr/lib/grub/x86_64-xen/linux.mod").read_bytes()
TABLE_AT, COUNT = struct.unpack_from("<Q", REAL, 40)[0], struct.unpack_from("<H", REAL, 60)[0]


def damaged(at: int, data: bytes) -> bytes:
    return REAL[:at] + data + REAL[at + len(data) :]


def without_bytes() -> bytes:
    """None of its sections has bytes in the file."""
    made = REAL
    for number in range(COUNT):
        at = TABLE_AT + 64 * number + 4
        made = made[:at] + struct.pack("<I", SHT_NOBITS) + made[at + 4 :]
    return made


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(REAL[:40], "is no ELF64 object", id="cut-off"),
        pytest.param(damaged(4, b"\1"), "is no ELF64 object", id="other-class"),
        pytest.param(damaged(18, b"\3\0"), "no relocatable object", id="other-machine"),
        pytest.param(damaged(40, b"\xff" * 8), "a section table outside", id="table-outside"),
        pytest.param(REAL[:-1], "outside its bytes", id="end-cut-off"),
        pytest.param(damaged(TABLE_AT + 64 + 32, b"\xff" * 8), "a section outside", id="size"),
        pytest.param(without_bytes(), "no readable name", id="no-section-has-bytes"),
    ],
)
def test_a_damaged_module_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(FormatError) as raised:
        grub_module.read(data, elf_class=64, machine=EM_X86_64)
    assert raised.value.code == "module-block"
    assert why in raised.value.message


def test_a_real_module_is_read() -> None:
    found = grub_module.read(REAL + bytes(8), elf_class=64, machine=EM_X86_64)
    assert (found.name, found.size) == ("linux", len(REAL))
    assert "relocator" in found.needs
