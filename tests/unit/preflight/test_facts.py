# SPDX-License-Identifier: GPL-3.0-or-later
"""Small readers: mountinfo, moddep.lst, superblocks, receipts."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import moddep, superblock
from guest_hooks.machine import mounts, receipts
from guest_hooks.machine.receipts import Receipt, TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.paths import RECEIPT
from guest_hooks.preflight import facts as preflight_facts
from guest_hooks.volumes import BlockDevice
from tests.support.boot_tree import OtherDisks

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 /@ /mnt/a\040b rw,noatime - btrfs /dev/loop3 rw,subvol=/@
31 30 7:4 / /mnt/a\040b/boot ro,relatime shared:4 master:2 - xfs /dev/loop4 rw
32 22 7:5 / /mnt/a\134040b rw - ext4 /dev/loop5 ro
33 30 7:6 / /mnt/a\040b/boot rw - ext4 /dev/loop6 rw
34 22 0:40 / /mnt/ab rw - tmpfs tmpfs rw
not a line of mountinfo
"""


def test_mountinfo_is_read() -> None:
    found = mounts.parse(MOUNTINFO)
    assert [(m.mountpoint, m.source, m.fs_type, m.is_read_only) for m in found] == [
        ("/", "/dev/vda", "ext4", False),
        ("/mnt/a b", "/dev/loop3", "btrfs", False),
        ("/mnt/a b/boot", "/dev/loop4", "xfs", True),
        (r"/mnt/a\040b", "/dev/loop5", "ext4", True),
        ("/mnt/a b/boot", "/dev/loop6", "ext4", False),
        ("/mnt/ab", "tmpfs", "tmpfs", False),
    ]
    assert (found[1].root, found[1].subvolume) == ("/@", "/@")
    assert [
        mount.place(path) for mount, path in zip(found, ("/boot", "/mnt/a b/boot"), strict=False)
    ] == ["/boot", "/@/boot"]
    assert [mount.place(mount.mountpoint) for mount in found[:3]] == ["/", "/@", "/"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/", "/dev/vda"),
        ("/boot", "/dev/vda"),
        ("/mnt/a b", "/dev/loop3"),
        ("/mnt/a b/boot", "/dev/loop6"),
        ("/mnt/a b/boot/xen", "/dev/loop6"),
        ("/mnt/a b/bootx", "/dev/loop3"),
        ("/mnt/ab", "tmpfs"),
        ("/mnt/a", "/dev/vda"),
    ],
)
def test_what_covers_a_path_is_the_longest_and_the_last(path: str, source: str) -> None:
    found = mounts.covering(mounts.parse(MOUNTINFO), path)
    assert found is not None
    assert found.source == source


def test_nothing_covers_a_path_where_nothing_is_mounted() -> None:
    assert mounts.covering((), "/boot") is None


@pytest.mark.parametrize(
    ("number", "source"),
    [
        pytest.param("1:3", "/dev/null", id="by-its-number"),
        pytest.param("1:4", "/dev/root", id="no-such-device"),
        pytest.param("0:26", "/dev/root", id="btrfs-has-no-device-s-number"),
    ],
)
def test_the_root_that_a_kernel_mounted_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, source: str
) -> None:
    (tmp_path / "devices/null").mkdir(parents=True)
    (tmp_path / "devices/nonesuch").mkdir()
    (tmp_path / "1:3").symlink_to("devices/null")
    (tmp_path / "1:4").symlink_to("devices/nonesuch")
    (tmp_path / "mountinfo").write_text(
        f"22 1 {number} / / rw - ext4 /dev/root rw\n23 22 1:3 / /mnt rw - ext4 /dev/vda rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTINFO", str(tmp_path / "mountinfo"))
    monkeypatch.setattr(mounts, "BLOCK_DEVICES", str(tmp_path))
    assert [mount.source for mount in mounts.here()] == [source, "/dev/vda"]


def test_what_is_below_a_root(tmp_path: Path) -> None:
    line = "30 22 7:3 / {} rw - ext4 /dev/loop3 rw\n"
    text = "".join(
        line.format(place) for place in (tmp_path, f"{tmp_path}/boot", f"{tmp_path}-other", "/")
    )
    assert [m.mountpoint for m in mounts.below(mounts.parse(text), Root(str(tmp_path)))] == [
        str(tmp_path),
        f"{tmp_path}/boot",
    ]
    assert len(mounts.below(mounts.parse(text), Root())) == 4


@given(st.text(max_size=200))
def test_any_text_is_a_mount_table(text: str) -> None:
    mounts.parse(text)


@given(
    st.text(
        alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)),
        min_size=1,
        max_size=30,
    )
)
def test_a_mountpoint_s_name_comes_back(name: str) -> None:
    escaped = (
        name.replace("\\", r"\134")
        .replace(" ", r"\040")
        .replace("\t", r"\011")
        .replace("\n", r"\012")
    )
    (found,) = mounts.parse(f"1 1 0:1 / /{escaped} rw - ext4 /dev/x rw")
    assert found.mountpoint == f"/{name}"


def test_moddep_is_read() -> None:
    table = moddep.parse(b"a: b c\nb:\nc: b\n")
    assert table == {"a": ("b", "c"), "b": (), "c": ("b",)}
    assert moddep.parse(b"") == {}


@pytest.mark.parametrize("text", [b"a b c\n", b"\xff\xfe\n", b"a: b\n\n"])
def test_moddep_of_another_shape(text: bytes) -> None:
    with pytest.raises(FormatError, match="without a colon"):
        moddep.parse(text)


def test_a_closure_ends_and_leaves_out_what_is_not_there() -> None:
    table = {"a": ("b",), "b": ("a", "c"), "c": (), "d": ("gone",)}
    assert moddep.closure(table, ["a", "nowhere"]) == {"a", "b", "c"}
    assert moddep.closure(table, ["d"]) == {"d", "gone"}
    assert moddep.closure({}, ["a"]) == frozenset()


NAMES = st.text(alphabet="abc", min_size=1, max_size=2)


@given(
    st.dictionaries(NAMES, st.lists(NAMES, max_size=3).map(tuple), max_size=8),
    st.lists(NAMES, max_size=4),
)
def test_a_closure_holds_what_all_in_it_need(
    table: dict[str, tuple[str, ...]], names: list[str]
) -> None:
    found = moddep.closure(table, names)
    assert {name for name in names if name in table} <= found
    assert all(set(table.get(name, ())) <= found for name in found)
    assert moddep.closure(table, found & table.keys()) <= found


UUID = "01234567-89ab-cdef-0123-456789abcdef"


def block(*parts: tuple[int, bytes]) -> bytes:
    data = bytearray(superblock.SIZE)
    for at, raw in parts:
        data[at : at + len(raw)] = raw
    return bytes(data)


RAW = bytes.fromhex(UUID.replace("-", ""))


@pytest.mark.parametrize(
    ("data", "uuid"),
    [
        pytest.param(block((0x438, struct.pack("<H", 0xEF53)), (0x468, RAW)), UUID, id="ext4"),
        pytest.param(block((0, b"XFSB"), (32, RAW)), UUID, id="xfs"),
        pytest.param(block((0x10040, b"_BHRfS_M"), (0x10020, RAW)), UUID, id="btrfs"),
        pytest.param(block(), "", id="zeros"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(block((0, b"XFSB"), (32, RAW))[:40], "", id="cut-off"),
    ],
)
def test_the_uuid_of_a_superblock(data: bytes, uuid: str) -> None:
    assert superblock.read_uuid(data) == uuid


@given(st.binary(max_size=superblock.SIZE))
def test_any_bytes_are_a_superblock_or_none(data: bytes) -> None:
    assert len(superblock.read_uuid(data)) in (0, 36)


FULL = Receipt(
    targets={
        "x86_64-xen": TargetReceipt(core_sha256="a" * 64, request=("ext2", "normal")),
        "i386-xen": TargetReceipt(held_sha256="b" * 64),
    }
)


def test_a_receipt_comes_back(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    receipts.save(root, FULL)
    assert receipts.load(root) == FULL
    assert receipts.load(root).target("i386-xen_pvh") == TargetReceipt()


def test_a_receipt_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    receipts.save(root, FULL)
    before = (tmp_path / RECEIPT.lstrip("/")).stat()
    receipts.save(root, FULL)
    assert (tmp_path / RECEIPT.lstrip("/")).stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut-off"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="list"),
        pytest.param('{"schema": 2, "targets": {}}', id="newer"),
        pytest.param('{"schema": 1}', id="no-targets"),
        pytest.param('{"schema": 1, "targets": []}', id="targets-is-a-list"),
        pytest.param('{"schema": 1, "targets": {"x86_64-xen": 1}}', id="target-is-a-number"),
        pytest.param("[" * 100_000, id="deeply-nested"),
        pytest.param("1" * 5000, id="huge-number"),
    ],
)
def test_another_receipt_reads_as_empty(text: str) -> None:
    assert receipts.parse(text.encode()) == Receipt()


def test_one_bad_row_does_not_spoil_the_others() -> None:
    good = {"core_sha256": "a", "request": ["b"], "held_sha256": ""}
    rows = {
        "x86_64-xen": good,
        "a": {**good, "request": [1]},
        "b": {**good, "core_sha256": None},
        "c": {**good, "request": "text"},
    }
    found = receipts.parse(json.dumps({"schema": 1, "targets": rows}).encode())
    assert dict(found.targets) == {"x86_64-xen": TargetReceipt(core_sha256="a", request=("b",))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "targets", "core_sha256", "request", "held_sha256"]),
            children,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_receipt(table: object) -> None:
    receipts.parse(json.dumps(table).encode())


@given(st.binary(max_size=100))
def test_any_bytes_are_a_receipt(data: bytes) -> None:
    receipts.parse(data)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    assert receipts.load_previous(root, "x86_64-xen") is None
    receipts.keep_previous(root, "x86_64-xen", b"core")
    assert receipts.load_previous(root, "x86_64-xen") == b"core"
    (tmp_path / receipts.previous_path("i386-xen").lstrip("/")).mkdir()
    assert receipts.load_previous(root, "i386-xen") is None


def test_grub_is_not_asked_of_the_subvolume_that_the_tree_is_mounted_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "22 1 0:26 /@rootfs {} rw - btrfs /dev/xvda1 rw,subvol=/@rootfs\n"
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse(line.format(tmp_path)))
    disk = BlockDevice(path="/dev/xvda1", type="part", fs_type="btrfs")
    asked = OtherDisks(files={"/dev/xvda1": ("/@old/",)})
    root = Root(str(tmp_path))
    assert preflight_facts.has_subvolume(root, disk, "/@rootfs", run=asked) is True
    assert asked.asked == []
    assert preflight_facts.has_subvolume(root, disk, "/@old", run=asked) is True
    assert preflight_facts.has_subvolume(root, disk, "/@new", run=asked) is False
