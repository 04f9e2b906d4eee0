# SPDX-License-Identifier: GPL-3.0-or-later
"""Initrds: every name in them, in whatever order and packing their archives come."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import initrd, kernel_config
from guest_hooks.formats.compression import Compression
from tests.support import kernels

RELEASE = "6.1.0-99-amd64"
SMALL = kernels.initrd()


def outcome(data: bytes) -> str:
    """How reading `data` ends: `complete`, `incomplete`, or the code of the format error."""
    try:
        return "complete" if initrd.read(data).is_complete else "incomplete"
    except FormatError as error:
        return error.code


@pytest.mark.parametrize("compression", ["none", *kernels.PACKERS])
def test_names_behind_an_early_archive(compression: str) -> None:
    found = initrd.read(kernels.initrd(compression=compression))
    assert found.is_complete
    assert found.kernels == (RELEASE,)
    assert found.modules == {"xen_blkfront", "ext4"}
    assert found.programs == {"lvm"}
    assert found.names[:2] == ("kernel/x86/microcode/GenuineIntel.bin", "init")
    assert found.compressions[-1] == compression


@pytest.mark.parametrize("compression", ["gzip", "zstd", "xz", "bzip2", "lz4", "lzo", "lzma"])
def test_archives_behind_a_packed_one_are_read(compression: str) -> None:
    more = kernels.cpio({"lib/modules/7.0/kernel/extra.ko.zst": b"x" * 333})
    found = initrd.read(
        kernels.pack(kernels.cpio({"a": b""}), compression)
        + bytes(512)
        + kernels.pack(more, "gzip")
        + more
    )
    assert found.names == (
        "a",
        "lib/modules/7.0/kernel/extra.ko.zst",
        "lib/modules/7.0/kernel/extra.ko.zst",
    )
    assert found.kernels == ("7.0",)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_two_archives_in_one_member(compression: str) -> None:
    both = kernels.cpio({"a": b"1"}) + bytes(256) + kernels.cpio({"b": b"2" * 5000})
    assert initrd.read(kernels.pack(both, compression)).names == ("a", "b")


def test_names_are_those_that_cpio_packed(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/modules/6.1/kernel").mkdir(parents=True)
    for name in ("a.ko", "xen-blkfront.ko.xz", "b-c_d.ko.zst"):
        (tmp_path / "usr/lib/modules/6.1/kernel" / name).write_bytes(b"x" * 1001)
    listing = subprocess.run(["find", "."], cwd=tmp_path, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc"], cwd=tmp_path, input=listing, capture_output=True, check=True
    ).stdout
    found = initrd.read(kernels.pack(archive, "zstd"))
    assert sorted(found.names) == sorted(
        line.removeprefix("./") for line in listing.decode().splitlines()
    )
    assert found.modules == {"a", "xen_blkfront", "b_c_d"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "initrd-empty", id="empty"),
        pytest.param(bytes(20000), "initrd-empty", id="zeros"),
        pytest.param(b"#!/bin/sh\n", "initrd-unknown", id="text"),
        pytest.param(b"070701" + b"z" * 200, "corrupt", id="no-numbers"),
    ],
)
def test_what_is_no_initrd_is_named(data: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        initrd.read(data)
    assert caught.value.code == code


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "xz"])
def test_an_initrd_that_ends_early_is_seen(compression: str) -> None:
    whole = kernels.initrd(compression=compression)
    # In the packed archive, which begins at a block of 512 bytes; how long it gets differs from
    # release to release.
    packed = len(whole) - -(-whole.index(b"TRAILER!!!") // 512) * 512
    for cut in (packed // 4, packed // 2):
        assert outcome(whole[:-cut]) in ("incomplete", "corrupt")


@given(st.binary(max_size=400), st.integers(0, len(SMALL) - 1))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_initrd_or_a_format_error(patch: bytes, at: int) -> None:
    for data in (patch, SMALL[:at] + patch + SMALL[at + len(patch) :], b"070701" + patch):
        assert outcome(data) in (
            "complete",
            "incomplete",
            "corrupt",
            "initrd-empty",
            "initrd-unknown",
        )


def test_what_unpacks_to_more_than_any_initrd_is_not_followed() -> None:
    with pytest.raises(FormatError) as caught:
        initrd.read(kernels.pack(kernels.cpio({"big": bytes(1 << 24)}), "zstd"))
    assert caught.value.code == "cannot-look-inside"


def test_an_early_archive_alone_is_complete() -> None:
    found = initrd.read(kernels.cpio({"kernel/x86/microcode/AuthenticAMD.bin": b"1"}))
    assert (found.is_complete, found.compressions, found.kernels) == (True, (Compression.NONE,), ())


CONFIG = (
    "# CONFIG_XEN_DOM0 is not"
    ' set\nCONFIG_XEN_PV=y\nCONFIG_XEN_BLKDEV_FRONTEND=m\nCONFIG_NAME="x"\nCONFIG_OTHER=y\n'
)


def test_options_of_a_kernel() -> None:
    wanted = frozenset({"XEN_PV", "XEN_BLKDEV_FRONTEND", "XEN_DOM0", "NAME"})
    assert kernel_config.parse(CONFIG, wanted) == {
        "XEN_PV": "y",
        "XEN_BLKDEV_FRONTEND": "m",
        "NAME": "x",
    }


def test_modules_built_in() -> None:
    assert kernel_config.builtin_modules(
        "kernel/fs/ext4/ext4.ko\nkernel/drivers/block/xen-blkfront.ko\n"
    ) == {
        "ext4",
        "xen_blkfront",
    }
