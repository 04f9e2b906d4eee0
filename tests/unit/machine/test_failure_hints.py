# SPDX-License-Identifier: GPL-3.0-or-later
"""The next step for an error of the kernel: the commands name what they are to look at."""

import errno
import os
from pathlib import Path

import pytest

from guest_hooks.errors import GuestHooksError, LackingError
from guest_hooks.machine import failures
from guest_hooks.machine.root import Root


def hint(number: int, path: str, root: Root | None = None) -> str:
    with (
        pytest.raises(GuestHooksError) as caught,
        failures.told(root or Root(), path, "written"),
    ):
        raise OSError(number, os.strerror(number), path)
    return caught.value.hint


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (0, "an attribute may forbid it: lsattr -d /boot/xen /boot/xen/pvboot-x86_64.elf"),
        (1000, "run as root"),
    ],
)
def test_what_is_not_permitted(monkeypatch: pytest.MonkeyPatch, user: int, expected: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert hint(errno.EPERM, "/boot/xen/pvboot-x86_64.elf") == expected


def test_a_tree_whose_name_has_a_space(tmp_path: Path) -> None:
    top = tmp_path / "my guest"
    top.mkdir()
    root = Root(str(top))
    assert hint(errno.ELOOP, "/boot", root) == f"links lead to each other: ls -ld '{top}/boot'"
    assert hint(errno.ENOSPC, "/boot/x", root) == f"make room: df '{top}/boot'"


def test_a_file_on_the_way_is_shown() -> None:
    """ls(1) would only fail in the same way; namei(1) shows each part of the path."""
    path = "/var/lib/xen-guest-bootloader/lock"
    expected = f"a file stands where a directory should be: namei -l {path}"
    assert hint(errno.ENOTDIR, path) == expected


def test_a_chroot_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/proc/self")
    with pytest.raises(LackingError) as caught, failures.looked_at(Root()):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/self/fdinfo/3")
    assert caught.value.hint == "mount it: mount -t proc proc /proc"
