# SPDX-License-Identifier: GPL-3.0-or-later
"""A lost file is put back by its spare, and only where all else is as it was judged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.machine import durable, fingerprint, settling, spares, temporary
from guest_hooks.machine.root import Root
from guest_hooks.machine.spares import PutBack
from guest_hooks.model import Problem
from guest_hooks.problems.runs import RunProblem

BYTES = b"a second stage" * 1000
UNKNOWN = Problem.of(RunProblem.BARRIER_UNKNOWN, "not sure")


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is lost, its spare, what else a verdict rests on, and their fingerprint."""
    monkeypatch.setattr(settling, "barrier", lambda _root, _where: None)
    monkeypatch.setattr("guest_hooks.machine.barrier.barrier", lambda _root, _where: None)
    for name in ("xen", "grub", "modules"):
        (tmp_path / name).mkdir()
    for name in ("xen/file", "xen/other", "grub/core.elf"):
        (tmp_path / name).write_bytes(BYTES)
    for name in ("menu", "modules/a.mod", "vmlinuz-1"):
        (tmp_path / name).write_bytes(b"as judged")
    spare = (f"{tmp_path}/grub/core.elf", fingerprint.checksum(BYTES))
    subjects = [
        *(("stat", f"{tmp_path}/{name}") for name in ("xen/file", "xen/other", "menu", "absent")),
        ("dir", f"{tmp_path}/modules"),
        ("kernels", f"{tmp_path}"),
        ("text", f"{tmp_path}/menu"),
    ]
    text = fingerprint.take(subjects, {f"{tmp_path}/xen/file": spare})
    (tmp_path / "fingerprint").write_text(text)
    assert fingerprint.holds(f"{tmp_path}/fingerprint")
    (tmp_path / "xen/file").unlink()
    return tmp_path


def test_it_is_put_back_and_remembered(top: Path) -> None:
    path = f"{top}/fingerprint"
    assert not fingerprint.holds(path)
    assert spares.put_back(Root(), path) == PutBack(files=(f"{top}/xen/file",))
    assert (top / "xen/file").read_bytes() == BYTES
    assert fingerprint.holds(path)
    (top / "xen/file").unlink()
    assert spares.put_back(Root(), path).files, "a second time, by what the first remembered"
    (top / "menu").touch()
    assert not fingerprint.holds(path)


def test_what_a_killed_run_left_is_removed(top: Path) -> None:
    left = top / "xen" / temporary.name()
    left.write_bytes(BYTES[:100])
    assert spares.put_back(Root(), f"{top}/fingerprint").files
    assert not left.exists()


def test_what_can_not_be_remembered_is_put_back_all_the_same(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(root: Root, path: str, data: bytes, *, sync: bool) -> None:  # noqa: ARG001
        raise LackingError(f"{root.outside(path)} needs {len(data)} bytes")

    monkeypatch.setattr(durable, "replace", full)
    assert spares.put_back(Root(), f"{top}/fingerprint") == PutBack(files=(f"{top}/xen/file",))
    assert (top / "xen/file").read_bytes() == BYTES


def test_what_is_not_sure_is_told(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "barrier", lambda _root, _where: UNKNOWN)
    assert spares.put_back(Root(), f"{top}/fingerprint").problems == (UNKNOWN,)


def decayed(top: Path) -> None:
    """Other bytes in a spare that the fingerprint has no line of."""
    (top / "grub/core.elf").write_bytes(BYTES[:-1] + b"?")


def cut_off(top: Path) -> None:
    text = (top / "fingerprint").read_text()
    (top / "fingerprint").write_text(text.replace(f"{fingerprint.END}\n", ""))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda top: (top / "menu").touch(), id="menu"),
        pytest.param(lambda top: (top / "menu").unlink(), id="menu-gone"),
        pytest.param(lambda top: (top / "absent").touch(), id="what-was-absent"),
        pytest.param(lambda top: (top / "modules/b.mod").touch(), id="module-added"),
        pytest.param(lambda top: (top / "modules/a.mod").touch(), id="module"),
        pytest.param(lambda top: (top / "vmlinuz-2").touch(), id="kernel-added"),
        pytest.param(lambda top: (top / "xen/other").unlink(), id="gone-without-a-spare"),
        pytest.param(lambda top: (top / "xen/file").mkdir(), id="directory-in-its-place"),
        pytest.param(lambda top: (top / "xen/file").write_bytes(b""), id="empty-in-its-place"),
        pytest.param(lambda top: (top / "xen/file").symlink_to("no"), id="link-in-its-place"),
        pytest.param(decayed, id="spare-decayed"),
        pytest.param(cut_off, id="fingerprint-cut-off"),
        pytest.param(lambda top: (top / "fingerprint").unlink(), id="no-fingerprint"),
    ],
)
def test_whatever_else_has_changed_is_a_survey_s_work(
    top: Path, change: Callable[[Path], object]
) -> None:
    change(top)
    before = (top / "xen/file").lstat() if (top / "xen/file").is_symlink() else None
    assert spares.put_back(Root(), f"{top}/fingerprint") == PutBack()
    assert not (top / "xen/file").is_file() or (top / "xen/file").read_bytes() == b""
    assert before is None or (top / "xen/file").is_symlink()


def test_a_spare_that_is_gone_is_an_error(top: Path) -> None:
    (top / "grub/core.elf").unlink()
    with pytest.raises(FileNotFoundError):
        spares.put_back(Root(), f"{top}/fingerprint")
    assert not (top / "xen/file").exists()


def test_what_takes_its_place_at_once_is_not_remembered(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "rival").write_bytes(b"something else")

    def settled(_root: Root, _where: str) -> None:
        if (top / "xen/file").exists() and (top / "rival").exists():
            (top / "rival").rename(top / "xen/file")

    monkeypatch.setattr(settling, "barrier", settled)
    with pytest.raises(NotRepairedError, match="replaced by something else"):
        spares.put_back(Root(), f"{top}/fingerprint")
    assert not fingerprint.holds(f"{top}/fingerprint")
