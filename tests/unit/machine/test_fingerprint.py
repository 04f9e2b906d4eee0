# SPDX-License-Identifier: GPL-3.0-or-later
"""The cheap look: what it sees, and that whatever it can't read is a change."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks import __version__
from guest_hooks.formats import superblock
from guest_hooks.machine import fingerprint


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path]:
    """A directory with two files, and a fingerprint of it."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_bytes(b"a" * 100)
    (top / "vmlinuz-1").write_bytes(b"k")
    (top / "link").symlink_to("file")
    subjects = [
        *(("stat", f"{top}/{name}") for name in ("file", "link", "absent")),
        ("dir", f"{top}"),
        ("dir", f"{top}/absent"),
        ("kernels", f"{top}"),
        ("text", f"{top}/file"),
        ("text", f"{top}/absent"),
        ("uuid", f"{top}/absent"),
        ("fs", f"{top}"),
        ("place", f"{top}"),
        ("uname", "-"),
    ]
    path = tmp_path / "fingerprint"
    path.write_text(fingerprint.take(subjects))
    return top, path


def test_it_holds_while_nothing_changes(kept: tuple[Path, Path]) -> None:
    assert fingerprint.holds(str(kept[1]))
    assert fingerprint.differing(str(kept[1])) == ()


def replaced(top: Path) -> None:
    """Another file of the same size, mode and times, but for the one no program can set."""
    status = (top / "file").stat()
    (top / "new").write_bytes(b"b" * 100)
    (top / "new").rename(top / "file")
    os.utime(top / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


def overwritten(top: Path) -> None:
    status = (top / "file").stat()
    with (top / "file").open("r+b") as file:
        file.write(b"b" * 100)
    os.utime(top / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [
    pytest.param(replaced, id="same-size-and-time-replaced"),
    pytest.param(overwritten, id="same-size-and-time-overwritten"),
    pytest.param(lambda top: (top / "file").chmod(0o600), id="mode"),
    pytest.param(lambda top: (top / "file").unlink(), id="deleted"),
    pytest.param(lambda top: (top / "absent").touch(), id="appeared"),
    pytest.param(lambda top: (top / "absent").mkdir(), id="directory-appeared"),
    pytest.param(lambda top: (top / "other").touch(), id="another-file"),
    pytest.param(lambda top: (top / "vmlinuz-2").touch(), id="another-kernel"),
    pytest.param(lambda top: (top / "initrd.img-1").touch(), id="another-initrd"),
    pytest.param(
        lambda top: ((top / "link").unlink(), (top / "link").symlink_to("vmlinuz-1")),
        id="link-moved",
    ),
    pytest.param(lambda top: top.rename(top.with_name("gone")), id="all-gone"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(kept: tuple[Path, Path], change: Callable[[Path], object]) -> None:
    change(kept[0])
    assert not fingerprint.holds(str(kept[1]))
    assert fingerprint.differing(str(kept[1])) != ()


@pytest.mark.parametrize("kind", ["stat", "dir"])
def test_the_kernel_s_own_time_alone_tells_of_other_bytes(tmp_path: Path, kind: str) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(b"a" * 100)
    (tmp_path / "fingerprint").write_text(
        fingerprint.take([(kind, f"{tmp_path}/top/file" if kind == "stat" else f"{tmp_path}/top")])
    )
    assert fingerprint.holds(str(tmp_path / "fingerprint"))
    overwritten(tmp_path / "top")
    assert not fingerprint.holds(str(tmp_path / "fingerprint"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"{fingerprint.HEAD}\nstat", id="cut-off"),
        pytest.param(
            f"{fingerprint.HEAD}\nnonsense\t/etc\tx\n{fingerprint.END}\n", id="unknown-kind"
        ),
        pytest.param(f"{fingerprint.HEAD}\n\n{fingerprint.END}\n", id="empty-line"),
        pytest.param(
            f"{fingerprint.HEAD}\nuuid\t/nonexistent\tx\n{fingerprint.END}\n", id="device-gone"
        ),
        pytest.param(
            f"{fingerprint.HEAD}\nstat\t/a\0b\tabsent\n{fingerprint.END}\n", id="zero-byte"
        ),
    ],
)
def test_whatever_else_is_there_does_not_hold(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fingerprint"
    path.write_text(text)
    assert not fingerprint.holds(str(path))
    assert fingerprint.differing(str(path)) != ()


@pytest.mark.parametrize(
    ("of", "other"),
    [
        pytest.param(__version__, "0.0.1", id="of-another-version"),
        pytest.param(f" of {__version__}", "", id="of-no-version"),
        pytest.param("fingerprint 3", "fingerprint 2", id="of-another-form"),
    ],
)
def test_what_another_version_found_well_does_not_hold(
    kept: tuple[Path, Path], of: str, other: str
) -> None:
    """Its checks are others."""
    text = kept[1].read_text()
    kept[1].write_text(text.replace(of, other, 1))
    assert not fingerprint.holds(str(kept[1]))
    assert fingerprint.differing(str(kept[1])) == (str(kept[1]),)


def test_no_fingerprint_does_not_hold(tmp_path: Path) -> None:
    assert not fingerprint.holds(str(tmp_path / "absent"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert not fingerprint.holds(str(tmp_path / "bytes"))
    assert not fingerprint.holds(str(tmp_path))


def test_a_fingerprint_of_nothing_is_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "fingerprint"
    path.write_text(fingerprint.take([]))
    assert not fingerprint.holds(str(path))


def test_it_is_taken_only_when_a_later_change_must_show(tmp_path: Path) -> None:
    """Files of this very tick: when `take` returns, the kernel's clock has moved on."""
    file = tmp_path / "file"
    file.write_bytes(b"a")
    changed = file.stat().st_ctime_ns
    fingerprint.take([("stat", str(file))])
    (tmp_path / "next").write_bytes(b"")
    assert (tmp_path / "next").stat().st_ctime_ns > changed


def test_a_device_that_appears_is_seen(tmp_path: Path) -> None:
    """A device that is not there, as /dev/root, is no reason to have no fingerprint."""
    path, device = tmp_path / "fingerprint", tmp_path / "device"
    path.write_text(fingerprint.take([("uuid", str(device))]))
    assert fingerprint.holds(str(path))
    device.write_bytes(bytes(superblock.SIZE))
    assert fingerprint.differing(str(path)) == (str(device),)


@pytest.mark.parametrize(
    ("parts", "at", "bits", "is_seen"),
    [
        pytest.param({0x438: b"\x53\xef"}, 0x461, 0x80, True, id="ext4-inline-data"),
        pytest.param({0x438: b"\x53\xef"}, 0x42C, 0x04, False, id="ext4-was-written-to"),
        pytest.param({0: b"XFSB"}, 219, 0x20, True, id="xfs-nrext64"),
        pytest.param({0x10040: b"_BHRfS_M", 0x10088: b"\1"}, 0x100BC, 0x10, True, id="btrfs-zstd"),
    ],
)
def test_a_new_feature_of_a_file_system_is_seen(
    tmp_path: Path, parts: dict[int, bytes], at: int, bits: int, is_seen: bool
) -> None:
    """A GRUB that read it before may be too old for it now."""
    path, device = tmp_path / "fingerprint", tmp_path / "device"
    data = bytearray(superblock.SHAPE_SIZE)
    for where, raw in parts.items():
        data[where : where + len(raw)] = raw
    device.write_bytes(data)
    path.write_text(fingerprint.take([("uuid", str(device))]))
    assert fingerprint.holds(str(path))
    data[at] |= bits
    device.write_bytes(data)
    assert fingerprint.holds(str(path)) is not is_seen


def test_one_that_is_cut_off_anywhere_does_not_hold(kept: tuple[Path, Path]) -> None:
    text = kept[1].read_text()
    for length in range(len(text) - 1):
        kept[1].write_text(text[:length])
        assert not fingerprint.holds(str(kept[1]))
        assert fingerprint.differing(str(kept[1])) != ()


def test_a_time_in_the_future_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    (tmp_path / "file").touch()
    fingerprint.take([("stat", str(tmp_path / "file"))])
    assert all(seconds <= 1.1 for seconds in slept)


@pytest.mark.parametrize(
    ("changed", "waited"),
    [
        pytest.param(5_000_000_000, 1.1, id="whole-seconds"),
        pytest.param(5_010_000_000, 0.02, id="hundredths"),
        pytest.param(5_010_000_001, 0.0, id="nanoseconds"),
    ],
)
def test_coarse_times_are_waited_for_as_long_as_they_last(
    changed: int, waited: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time_ns", lambda: changed)
    monkeypatch.setattr(fingerprint, "_times", lambda _path: [changed])
    fingerprint.take([("stat", str(tmp_path))])
    assert max(slept) == pytest.approx(waited)
