# SPDX-License-Identifier: GPL-3.0-or-later
"""Which features of a file system a GRUB refuses, from its superblock."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.formats import fs_features

BULLSEYE, BOOKWORM, TRIXIE, SID = "2.06-3~deb11u6", "2.06-13+deb12u2", "2.12-9+deb13u4", "2.14-4"


def ext4(incompat: int = 0x2C2, ro_compat: int = 0x46B) -> bytes:
    data = bytearray(fs_features.SIZE)
    struct.pack_into("<H", data, 0x438, 0xEF53)
    struct.pack_into("<II", data, 0x460, incompat, ro_compat)
    return bytes(data)


def xfs(incompat: int = 0xB, version: int = 0xB4B5) -> bytes:
    data = bytearray(fs_features.SIZE)
    data[:4] = b"XFSB"
    struct.pack_into(">H", data, 100, version)
    struct.pack_into(">I", data, 216, incompat)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "version", "names"),
    [
        pytest.param(ext4(), "2.06", [], id="ext4"),
        pytest.param(
            ext4(0x2C2 | 0x2000),
            "2.06",
            ["metadata_csum_seed"],
            id="trixie-s-ext4-by-upstream-s-2.06",
        ),
        pytest.param(
            ext4(0x2C2 | 0x2000), BULLSEYE, ["metadata_csum_seed"], id="trixie-s-ext4-by-bullseye"
        ),
        pytest.param(ext4(0x2C2 | 0x2000), BOOKWORM, [], id="trixie-s-ext4-by-bookworm"),
        pytest.param(ext4(0x2C2 | 0x8000), SID, ["inline_data"], id="inline-data-by-sid"),
        pytest.param(ext4(ro_compat=0x46B | 0x200), TRIXIE, ["bigalloc"], id="bigalloc-by-trixie"),
        pytest.param(ext4(0x2C2 | 1 << 30), SID, ["unknown feature 0x40000000"], id="unknown"),
        pytest.param(xfs(), "2.06", [], id="xfs"),
        pytest.param(xfs(0xB | 0x20), BULLSEYE, ["nrext64"], id="trixie-s-xfs-by-bullseye"),
        pytest.param(xfs(0xB | 0x20), "2.06-3~deb11u7", [], id="trixie-s-xfs-by-a-later-bullseye"),
        pytest.param(
            xfs(0xB | 0x20),
            "2.06-13+deb12u1",
            ["nrext64"],
            id="trixie-s-xfs-by-an-earlier-bookworm",
        ),
        pytest.param(xfs(0xB | 0x20), BOOKWORM, [], id="trixie-s-xfs-by-bookworm"),
        pytest.param(xfs(0xB | 0xE0), TRIXIE, ["exchange", "parent"], id="sid-s-xfs-by-trixie"),
        pytest.param(xfs(0xB | 0xE0), SID, [], id="sid-s-xfs-by-sid"),
        pytest.param(xfs(0xE0, version=0xB4A4), BOOKWORM, [], id="version-4-has-no-such-bits"),
        pytest.param(bytes(fs_features.SIZE), BOOKWORM, [], id="zeros"),
        pytest.param(b"", BOOKWORM, [], id="empty"),
    ],
)
def test_what_is_not_read(data: bytes, version: str, names: Sequence[str]) -> None:
    found = fs_features.unreadable(fs_features.features(data), version)
    assert [feature.name for feature in found] == names


@pytest.mark.parametrize(
    ("data", "version"),
    [
        pytest.param(ext4(0x2C2 | 0x2000), "2.12", id="ext4"),
        pytest.param(xfs(0xB | 0xE0), "2.14", id="xfs"),
        pytest.param(ext4(0x2C2 | 0xA000), "", id="one-that-none-reads"),
        pytest.param(ext4(), "", id="nothing"),
    ],
)
def test_which_version_reads_it(data: bytes, version: str) -> None:
    assert fs_features.readers(fs_features.features(data)) == version


@given(st.binary(max_size=2200), st.text(max_size=20))
def test_no_bytes_and_no_version_are_refused(data: bytes, version: str) -> None:
    fs_features.unreadable(fs_features.features(data), version)
