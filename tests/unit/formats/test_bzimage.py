# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel images: what their heads and their vmlinux say, however they are packed and however
they are damaged.
"""

import struct
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import bzimage, unpack
from guest_hooks.formats.compression import (
    GRUB_XEN_UNPACKS,
    PACKAGES,
    Compression,
    LibraryMissingError,
    UnreasonableError,
    detect,
)
from tests.support import kernels


def unpack_all(data: bytes) -> bzimage.Notes:
    return bzimage.notes(data, bzimage.parse(data), to_the_end=True)


def outcome(work: Callable[[], object]) -> str:
    """The code of the format error that `work` ends in, or an empty string; anything else it
    raises goes on.
    """
    try:
        work()
    except FormatError as error:
        return error.code
    return ""


COMPRESSIONS = ["none", *kernels.PACKERS]
IMAGE = kernels.bzimage(compression="xz")
FAR_HEADERS = kernels.vmlinux()[:32] + b"\xff" * 8 + kernels.vmlinux()[40:]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("to_the_end", [False, True])
def test_notes_are_read_from_every_packing(compression: str, to_the_end: bool) -> None:
    data = kernels.bzimage(compression=compression)
    image = bzimage.parse(data)
    assert (image.compression, image.protocol, image.release, image.bits) == (
        compression,
        0x20F,
        "6.1.0-99-amd64",
        64,
    )
    assert not image.is_truncated
    notes = bzimage.notes(data, image, to_the_end=to_the_end)
    assert (notes.bits, notes.release) == (64, "6.1.0-99-amd64")
    assert dict(notes.xen) == kernels.LINUX_NOTES


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_grub_unpacks_is_what_grub_says(compression: str, tmp_path: Path) -> None:
    """grub-file reads kernels with the same code and file filters as GRUB's loader for PV."""
    path = tmp_path / "vmlinuz"
    path.write_bytes(kernels.bzimage(compression=compression))
    accepted = (
        subprocess.run(
            ["/usr/bin/grub-file", "--is-x86_64-xen-domu", str(path)], check=False
        ).returncode
        == 0
    )
    assert (Compression(compression) in GRUB_XEN_UNPACKS) == accepted


def test_a_bare_elf_is_a_kernel_too() -> None:
    data = kernels.vmlinux(bits=32)
    image = bzimage.parse(data)
    assert (image.format, image.bits, image.compression) == (
        bzimage.ImageFormat.ELF,
        32,
        Compression.NONE,
    )
    assert bzimage.notes(data, image).bits == 32


def test_a_signature_behind_the_image_is_no_damage() -> None:
    image = bzimage.parse(IMAGE + b"signature" * 100)
    assert not image.is_truncated


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "not-a-kernel", id="empty"),
        pytest.param(bytes(9000), "not-a-kernel", id="zeros"),
        pytest.param(b"menuentry {}\n" * 100, "not-a-kernel", id="text"),
        pytest.param(IMAGE[:0x210], "truncated", id="cut-in-the-header"),
        pytest.param(b"\x7fELF\x02\x01", "truncated", id="cut-in-the-elf-header"),
        pytest.param(FAR_HEADERS, "truncated", id="program-headers-past-all-memory"),
    ],
)
def test_what_is_no_kernel_is_named(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        bzimage.parse(data)
    assert caught.value.code == code


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma", "xz", "lzo", "lz4", "zstd"])
def test_a_kernel_cut_anywhere_is_seen(compression: str) -> None:
    data = kernels.bzimage(compression=compression)
    assert all(
        bzimage.parse(data[:size]).is_truncated
        for size in range(0x1000, len(data) - 16, len(data) // 40)
    )


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma", "xz", "lzo", "zstd"])
def test_damage_behind_the_notes_is_found_by_reading_to_the_end(compression: str) -> None:
    data = bytearray(kernels.bzimage(kernels.vmlinux() + bytes(range(256)) * 3000, compression))
    image = bzimage.parse(bytes(data))
    offset, length = image.payload
    data[offset + length - 60 : offset + length - 20] = b"\xa5" * 40
    with pytest.raises(FormatError) as caught:
        bzimage.notes(bytes(data), image, to_the_end=True)
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize(
    ("elf", "code"),
    [
        pytest.param(b"MZ" + bytes(3000), "not-elf", id="no-elf"),
        pytest.param(kernels.vmlinux()[:9000], "corrupt", id="ends-before-its-notes"),
        pytest.param(
            kernels.vmlinux()[:56] + struct.pack("<H", 60000) + kernels.vmlinux()[58:],
            "not-elf",
            id="too-many-headers",
        ),
    ],
)
def test_a_vmlinux_that_makes_no_sense(elf: bytes, code: str) -> None:
    data = kernels.bzimage(elf, "gzip")
    with pytest.raises(FormatError) as caught:
        bzimage.notes(data, bzimage.parse(data))
    assert caught.value.code == code


def test_an_old_boot_protocol_has_no_payload() -> None:
    data = kernels.bzimage(protocol=0x0207)
    with pytest.raises(FormatError, match=r"2\.07") as caught:
        bzimage.notes(data, bzimage.parse(data))
    assert caught.value.code == "no-payload"


@pytest.mark.parametrize("compression", ["zstd", "lz4", "lzo"])
def test_a_missing_library_is_no_fault_of_the_kernel(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = kernels.bzimage(compression=compression)
    for module in ("zstandard", "lz4", "lz4.block", "lzo"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(LibraryMissingError) as caught:
        bzimage.notes(data, bzimage.parse(data))
    assert (caught.value.code, caught.value.hint) == (
        "cannot-look-inside",
        f"apt install {PACKAGES[Compression(compression)]}",
    )


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "bzip2"])
def test_a_bomb_costs_one_chunk_at_a_time(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = kernels.bzimage(kernels.vmlinux() + bytes(1 << 24), compression)
    with pytest.raises(UnreasonableError) as caught:
        bzimage.notes(data, bzimage.parse(data), to_the_end=True)
    assert caught.value.code == "cannot-look-inside"
    monkeypatch.setattr(unpack, "RATIO", 1 << 20)
    sizes = [
        len(chunk)
        for chunk in unpack.stream(
            memoryview(kernels.pack(bytes(1 << 24), compression)), Compression(compression)
        )
    ]
    assert max(sizes) <= unpack.CHUNK


@given(st.binary(max_size=3000), st.integers(0, len(IMAGE) - 1))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_kernel_or_a_format_error(patch: bytes, at: int) -> None:
    data = IMAGE[:at] + patch + IMAGE[at + len(patch) :]
    for candidate in (data, patch):
        outcome(partial(unpack_all, candidate))


@given(st.sampled_from(list(kernels.PACKERS)), st.binary(max_size=200), st.integers(0, 5000))
@settings(max_examples=150, deadline=None)
def test_any_damage_of_a_member_is_a_format_error(compression: str, patch: bytes, at: int) -> None:
    packed = PACKED[compression]
    at %= len(packed)
    data = packed[:at] + patch + packed[at + len(patch) :]
    found = outcome(lambda: all(unpack.stream(memoryview(data), detect(data[:16]))))
    assert found in (
        "",
        "corrupt",
        "unknown-compression",
        "cannot-look-inside",
    )  # damaged bzip2 can grow a thousandfold


PACKED = {
    name: kernels.pack(bytes(range(256)) * 200 + b"text " * 999, name) for name in kernels.PACKERS
}


@pytest.mark.parametrize("compression", list(kernels.PACKERS))
def test_a_member_ends_where_the_next_begins(compression: str) -> None:
    stream = unpack.stream(
        memoryview(PACKED[compression] + b"070701" * 40), Compression(compression)
    )
    assert b"".join(stream) == bytes(range(256)) * 200 + b"text " * 999
    assert stream.end == len(PACKED[compression])
