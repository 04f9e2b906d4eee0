# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen's notes: each kind of value, and where they may stand."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf, xen_notes
from tests.support import second_stages as build
from tests.support.second_stages import core_image

HEADER = Path("/usr/include/xen/elfnote.h")


def read(raw: bytes, target: str = "x86_64-xen") -> list[tuple[str, object]]:
    image = build.with_notes(core_image(target), raw)
    return [(note.name, note.value) for note in xen_notes.read(elf.read(image), image)]


def test_the_table_is_xen_s() -> None:
    defined = dict(
        re.findall(r"^#define XEN_ELFNOTE_(\w+)\s+(\d+)$", HEADER.read_text(), re.MULTILINE)
    )
    assert len(defined) > 15
    assert {name: xen_notes.number(name) for name in defined} == {
        name: int(number) for name, number in defined.items()
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "x86_64-xen",
            {
                "GUEST_OS": "GRUB",
                "LOADER": "generic",
                "XEN_VERSION": "xen-3.0",
                "ENTRY": 0,
                "VIRT_BASE": 0,
            },
        ),
        (
            "i386-xen",
            {
                "GUEST_OS": "GRUB",
                "LOADER": "generic",
                "XEN_VERSION": "xen-3.0",
                "ENTRY": 0,
                "VIRT_BASE": 0,
                "PAE_MODE": "yes",
            },
        ),
        ("i386-xen_pvh", {"PHYS32_ENTRY": 0x100000}),
    ],
)
def test_grub_s_notes(target: str, expected: dict[str, object]) -> None:
    assert dict(read(build.notes(core_image(target)), target)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(build.note(1, b"\x05"), [("ENTRY", 5)], id="one-byte"),
        pytest.param(build.note(1, b"\x05\x01"), [("ENTRY", 0x105)], id="two-bytes"),
        pytest.param(build.note(1, b"\0\0\0\0\1\0\0\0"), [("ENTRY", 1 << 32)], id="eight-bytes"),
        pytest.param(build.note(13, b"\1\2"), [("L1_MFN_VALID", b"\1\2")], id="bytes"),
        pytest.param(build.note(77, b"\1\2\3"), [("77", b"\1\2\3")], id="unknown"),
        pytest.param(build.note(6, b"G\xffB\0x"), [("GUEST_OS", "G\\xffB")], id="no-ascii"),
        pytest.param(
            build.note(1, b"\1", owner=b"GNU\0") + build.note(6, b"x\0"),
            [("GUEST_OS", "x")],
            id="others-left-out",
        ),
        pytest.param(build.note(6, b"x\0") + bytes(8), [("GUEST_OS", "x")], id="zeros-behind"),
        pytest.param(
            build.note(9, b"yes\0", size=12), [("PAE_MODE", "yes")], id="pae-mode-runs-past-the-end"
        ),
    ],
)
def test_values(raw: bytes, expected: list[tuple[str, object]]) -> None:
    assert read(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(build.note(6, b"yes\0", size=12), id="another-runs-past-the-end"),
        pytest.param(build.note(9, b"yes!", size=12), id="pae-mode-without-nul"),
        pytest.param(build.note(6, b"x\0") + b"\0\0\0\1", id="half-a-header"),
        pytest.param(build.note(6, b"x\0")[:14], id="half-a-name"),
        pytest.param(build.note(1, b""), id="number-of-no-bytes"),
        pytest.param(build.note(1, bytes(16)), id="number-of-sixteen-bytes"),
    ],
)
def test_what_can_t_be_read(raw: bytes) -> None:
    with pytest.raises(FormatError) as raised:
        read(raw)
    assert raised.value.code == "note-malformed"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(FormatError):
        assert len(read(raw)) <= len(raw) / 16
