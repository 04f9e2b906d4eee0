# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and initrds as facts: what was read once is remembered, and only while it is true."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.machine import boot_files, image_reading, lock
from guest_hooks.machine.image_reading import read_initrd, read_kernel
from guest_hooks.machine.root import Root
from guest_hooks.paths import STATE_DIR
from guest_hooks.preflight import files
from tests.support import boot_tree
from tests.support.boot_damage import CONFIG, KERNEL
from tests.support.boot_tree import NEWEST, BootTree


@pytest.mark.parametrize(
    ("kernel", "config", "is_verified"),
    [
        pytest.param("image boot/vmlinuz-{}", "image boot/config-{}", True, id="bookworm"),
        pytest.param(
            "binary usr/lib/modules/{}/vmlinuz", "base usr/lib/modules/{}/config", True, id="forky"
        ),
        pytest.param("binary usr/lib/modules/{}/other", "image boot/config-{}", False, id="no-sum"),
    ],
)
def test_a_kernel_of_which_dpkg_has_the_sum(
    kernel: str, config: str, is_verified: bool, tmp_path: Path
) -> None:
    tree = BootTree(tmp_path)
    for where, path in ((kernel, KERNEL), (config, CONFIG)):
        package, place = where.format(NEWEST).split()
        digest = hashlib.md5(tree.read(path), usedforsecurity=False).hexdigest()
        sums = tmp_path / f"var/lib/dpkg/info/linux-{package}-{NEWEST}.md5sums"
        sums.parent.mkdir(parents=True, exist_ok=True)
        sums.with_suffix(".list").touch()
        with sums.open("a") as file:
            file.write(f"{digest}  {place}\n")
    assert read_kernel(Root(str(tmp_path)), f"/{KERNEL}").is_verified is is_verified


class TestMemory:
    """What was read once is not read again, until it changes."""

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        seen: list[str] = []

        def spy(read: Callable[[Root, str], object]) -> Callable[[Root, str], object]:
            def seen_read(root: Root, path: str) -> object:
                seen.append(path)
                return read(root, path)

            return seen_read

        monkeypatch.setattr(image_reading, "read_kernel", spy(read_kernel))
        monkeypatch.setattr(image_reading, "read_initrd", spy(read_initrd))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return seen

    def test_a_second_run_reads_what_changed(self, tmp_path: Path, reads: list[str]) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        assert len(reads) == 6
        reads.clear()
        assert tree.preflight() == first
        assert reads == []
        tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
        assert "kernel-compression" in {finding.code for finding in tree.preflight().findings}
        assert reads == [f"/{KERNEL}"]

    def test_a_file_of_many_names_is_read_once(self, tmp_path: Path, reads: list[str]) -> None:
        tree = BootTree(tmp_path)
        for number in range(50):
            os.link(tree.top / KERNEL, tree.top / f"boot/vmlinuz-7.0.0-{number}-amd64")
        memory = boot_files.Memory(Root(str(tmp_path)))
        names = [name for name in os.listdir(tree.top / "boot") if name.startswith("vmlinuz-7")]
        assert len({memory.kernel(f"/boot/{name}") for name in names}) == 1
        assert len(reads) == 1

    def test_a_hundred_kernels_are_remembered_and_none_that_is_gone(
        self, tmp_path: Path, reads: list[str]
    ) -> None:
        """Each is another file, with an initrd of its own."""
        tree = BootTree(tmp_path)
        kernels = [f"/boot/vmlinuz-7.0.0-{number}-amd64" for number in range(100)]
        initrds = [path.replace("vmlinuz", "initrd.img") for path in kernels]
        for path in (*kernels, *initrds):
            tree.write(path[1:], boot_tree.kernel() if "vmlinuz" in path else b"initrd")

        def run(count: int) -> None:
            memory = boot_files.Memory(Root(str(tmp_path)))
            for kernel, initrd in zip(kernels[:count], initrds, strict=False):
                memory.kernel(kernel)
                memory.initrd(initrd)
            memory.save()

        run(100)
        reads.clear()
        run(100)
        assert reads == []
        for path in kernels[1:]:
            (tmp_path / path[1:]).unlink()
        tree.write(kernels[0][1:], boot_tree.kernel(compression="zstd"))
        run(1)
        known = json.loads(tree.read(boot_files.CACHE[1:]))["files"]
        assert not known.keys() & set(kernels[1:])
        assert known.keys() >= {kernels[0], *initrds}

    @pytest.mark.parametrize(
        "damage",
        [
            b"",
            b"{",
            b"[]",
            b'{"version": 1, "files": {"a": 3}}',
            b'{"version": 99, "files": {}}',
            b"\xff" * 99,
            b"[" * 100_000,
        ],
        ids=["empty", "cut-off", "list", "odd-entry", "another-version", "bytes", "deep"],
    )
    def test_a_damaged_cache_is_made_anew(
        self, tmp_path: Path, reads: list[str], damage: bytes
    ) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        tree.write(boot_files.CACHE[1:], damage)
        reads.clear()
        assert tree.preflight() == first
        assert len(reads) == 6
        assert len(json.loads(tree.read(boot_files.CACHE[1:]))["files"]) == 6

    def test_facts_of_another_shape_are_not_believed(
        self, tmp_path: Path, reads: list[str]
    ) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        cache = json.loads(tree.read(boot_files.CACHE[1:]))
        for entry in cache["files"].values():
            entry["facts"]["fault"] = 7
        tree.write(boot_files.CACHE[1:], json.dumps(cache).encode())
        reads.clear()
        assert tree.preflight() == first
        assert len(reads) == 6

    @pytest.mark.usefixtures("reads")
    def test_its_directory_is_as_a_sync_makes_it(self, tmp_path: Path) -> None:
        BootTree(tmp_path / "looked-at").preflight()
        with lock.held(Root(str(tmp_path)), timeout=0):
            pass
        modes = {
            (top / STATE_DIR[1:]).stat().st_mode & 0o777
            for top in (tmp_path, tmp_path / "looked-at")
        }
        assert modes == {0o755}

    @pytest.mark.usefixtures("reads")
    def test_only_what_is_remembered_is_root_s_alone(self, tmp_path: Path) -> None:
        BootTree(tmp_path).preflight()
        cache = tmp_path / boot_files.CACHE[1:]
        assert (cache.stat().st_mode & 0o777, cache.parent.stat().st_mode & 0o777) == (0o600, 0o755)

    def test_no_right_to_write_is_no_fault(
        self, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        tree = BootTree(tmp_path)
        assert tree.preflight().findings == ()
        assert len(reads) == 6
        assert not (tmp_path / boot_files.CACHE[1:]).exists()


def test_files_are_read_where_no_thread_may_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    paths = ["/boot/vmlinuz-1", "/boot/vmlinuz-2"]
    (tmp_path / "boot").mkdir()
    for path in [*paths, "/boot/initrd"]:
        (tmp_path / path[1:]).write_bytes(b"no kernel")
    kernels, initrds = files.read(boot_files.Memory(Root(str(tmp_path))), paths, ["/boot/initrd"])
    assert [each.fault for each in kernels.values() if each] == ["truncated"] * 2
    assert [each.fault for each in initrds.values() if each] == ["initrd-unknown"]
