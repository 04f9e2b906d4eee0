# SPDX-License-Identifier: GPL-3.0-or-later
"""The ELF container: the same as pyelftools' whole reader on real files, nothing but
`FormatError` on others.
"""

import io
import subprocess
import sys
from contextlib import suppress

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import example, given
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf
from guest_hooks.targets import TARGETS
from tests.support import second_stages as build
from tests.support.checkout import CHECKOUT
from tests.support.second_stages import core_image


@pytest.mark.parametrize("target", TARGETS)
def test_real_files_read_as_pyelftools_reads_them(target: str) -> None:
    ours, theirs = elf.read(core_image(target)), ELFFile(io.BytesIO(core_image(target)))
    assert (ours.elf_class, ours.entry, ours.type) == (
        theirs.elfclass,
        theirs.header["e_entry"],
        elf.ET_EXEC,
    )
    assert ours.machine == TARGETS[target].elf_machine
    names = ("offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align")
    assert [tuple(getattr(item, name) for name in names) for item in ours.segments] == [
        tuple(item[f"p_{name}"] for name in names) for item in theirs.iter_segments()
    ]
    assert [item.type for item in ours.segments] == [
        elf.PT_LOAD,
        0x6474E551,
        elf.PT_LOAD,
        elf.PT_NOTE,
    ]
    assert [(item.offset, item.size) for item in ours.sections] == [
        (item["sh_offset"], item["sh_size"]) for item in theirs.iter_sections()
    ]
    assert ours.loads == (ours.segments[0], ours.segments[2])


def test_big_endian_is_read_as_such() -> None:
    header = (
        b"\x7fELF\x01\x02\x01"
        + bytes(9)
        + bytes.fromhex(
            "0002 0014 00000001 01020304 00000000 00000000 00000000 0034 0000 0000 0000 0000 0000"
        )
    )
    read = elf.read(header)
    assert (read.encoding, read.machine, read.entry, read.segments, read.sections) == (
        elf.Encoding.MSB,
        20,
        0x01020304,
        (),
        (),
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "not-elf", id="empty"),
        pytest.param(b"MZ" + bytes(512), "not-elf", id="efi"),
        pytest.param(b"\x7fELF", "elf-header", id="magic-alone"),
        pytest.param(core_image("x86_64-xen")[:63], "truncated", id="cut-in-the-header"),
        pytest.param(
            build.with_header(core_image("x86_64-xen"), phnum=elf.MAX_SEGMENTS + 1),
            "elf-header",
            id="too-many-segments",
        ),
        pytest.param(
            build.with_header(core_image("x86_64-xen"), shnum=elf.MAX_SECTIONS + 1),
            "elf-header",
            id="too-many-sections",
        ),
        pytest.param(
            build.with_header(core_image("x86_64-xen"), phoff=(1 << 64) - 1),
            "truncated",
            id="table-at-the-end-of-the-world",
        ),
    ],
)
def test_what_is_wrong_has_a_code(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as raised:
        elf.read(data)
    assert raised.value.code == code


def test_a_segment_s_bytes_are_the_file_s_or_an_error() -> None:
    image = core_image("i386-xen")
    kernel = elf.read(image).loads[0]
    assert elf.content(image, kernel) == image[kernel.offset : kernel.offset + kernel.filesz]
    with pytest.raises(FormatError) as raised:
        elf.content(image[:-1], elf.read(image).segments[-1])
    assert raised.value.code == "truncated"


def test_the_dwarf_reader_stays_out() -> None:
    """It costs every `inspect` and `status` more than the container's own reading."""
    program = (
        "import sys; from guest_hooks.formats import elf, second_stage; before = 'elftools' in"
        " sys.modules; "
    )
    program += (
        "elf.read(sys.stdin.buffer.read()); print(before, 'elftools.elf.structs' in sys.modules,"
        " 'elftools.dwarf' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=core_image("i386-xen"),
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert run.stdout.split() == [b"False", b"True", b"False"]


@given(
    kind=st.sampled_from([b"\1\1\1", b"\1\2\1", b"\2\1\1", b"\2\2\1"]), rest=st.binary(max_size=400)
)
@example(kind=b"\2\1\1", rest=bytes(57))
def test_any_bytes_are_read_or_refused(kind: bytes, rest: bytes) -> None:
    with suppress(FormatError):
        assert len(elf.read(b"\x7fELF" + kind + rest).segments) <= elf.MAX_SEGMENTS
