# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories under watch, with real inotify."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from guest_hooks.machine import emitter
from guest_hooks.machine.root import Root
from guest_hooks.machine.watch import Watch
from tests.support.waiting import until

DIRECTORIES = ("/boot", "/boot/xen", "/etc/ours/conf.d")


class Watched:
    """A tree with a watch on it that counts notices."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.notices = 0
        self.watch = Watch(Root(str(tree)), DIRECTORIES, self.notice)
        self.watch.arm()

    def notice(self) -> None:
        self.notices += 1

    def expect(self, change: Callable[[], object]) -> None:
        before = self.notices
        change()
        until(lambda: self.notices > before)
        self.watch.arm()

    @property
    def armed(self) -> set[str]:
        return {path.removeprefix(str(self.tree)) for path in self.watch._armed}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    for name in ("boot/xen", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "boot/xen/pvboot-x86_64.elf").write_bytes(b"core")
    found = Watched(tmp_path)
    yield found
    found.watch.close()


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"CORE")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Path.unlink, id="delete"),
        pytest.param(lambda path: os.truncate(path, 1), id="truncate"),
        pytest.param(_overwrite, id="overwrite"),
        pytest.param(lambda path: path.chmod(0o000), id="chmod"),
        pytest.param(lambda path: path.rename(path.parent.parent / "elsewhere"), id="rename-away"),
        pytest.param(lambda path: path.with_name("new").mkdir(), id="make-directory"),
        pytest.param(lambda path: path.with_name("link").symlink_to("x"), id="make-link"),
        pytest.param(lambda path: path.with_name("pipe").hardlink_to(path), id="hard-link"),
    ],
)
def test_a_change_is_noticed(watched: Watched, change: Callable[[Path], object]) -> None:
    watched.expect(lambda: change(watched.tree / "boot/xen/pvboot-x86_64.elf"))


@pytest.mark.parametrize("name", ["pvboot-x86_64.elf", "new"])
def test_a_file_is_written_to_until_it_is_closed(watched: Watched, name: str) -> None:
    path = watched.tree / "boot/xen" / name
    file = path.open("wb", buffering=0)
    watched.expect(partial(file.write, b"half"))
    until(lambda: watched.watch.is_written_to)
    watched.expect(lambda: path.chmod(0o600))
    watched.expect((path.parent / "directory").mkdir)
    assert watched.watch.is_written_to
    watched.expect(file.close)
    until(lambda: not watched.watch.is_written_to)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(Path.unlink, id="unlink"),
        pytest.param(lambda path: path.rename(path.parents[2] / "elsewhere"), id="rename-away"),
        pytest.param(lambda path: path.parents[1].joinpath("b").rename(path), id="rename-over"),
    ],
)
def test_nobody_writes_to_a_name_that_is_gone(
    watched: Watched, end: Callable[[Path], object]
) -> None:
    path = watched.tree / "boot/xen/a"
    watched.expect((watched.tree / "boot/b").touch)
    with path.open("wb", buffering=0) as file:
        watched.expect(partial(file.write, b"half"))
        until(lambda: watched.watch.is_written_to)
        watched.expect(lambda: end(path))
        until(lambda: not watched.watch.is_written_to)


def test_reading_is_not_noticed(watched: Watched) -> None:
    path = watched.tree / "boot/xen/pvboot-x86_64.elf"
    before = watched.notices
    for _ in range(20):
        path.read_bytes()
        os.listdir(path.parent)
    watched.expect(lambda: path.chmod(0o600))  # the one event, after all reads
    assert watched.notices - before <= 2


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda boot: shutil.rmtree(boot / "xen"), id="delete"),
        pytest.param(lambda boot: (boot / "xen").rename(boot / "xen.old"), id="rename"),
        pytest.param(lambda boot: boot.rename(boot.with_name("boot.old")), id="rename-above"),
    ],
)
def test_a_directory_made_again_is_watched_again(
    watched: Watched, lose: Callable[[Path], object]
) -> None:
    boot = watched.tree / "boot"
    watched.expect(lambda: lose(boot))
    assert "/boot/xen" not in watched.armed
    watched.expect(lambda: (boot / "xen").mkdir(parents=True))
    assert "/boot/xen" in watched.armed
    watched.expect((boot / "xen/pvboot-i386.elf").touch)


def test_another_directory_in_the_place_of_one_is_watched(watched: Watched) -> None:
    boot = watched.tree / "boot"

    def swap() -> None:
        boot.rename(boot.with_name("boot.old"))
        (boot / "xen").mkdir(parents=True)

    watched.expect(swap)
    watched.expect((boot / "xen/pvboot-i386.elf").touch)


def test_what_is_not_there_is_watched_for_from_above(watched: Watched) -> None:
    assert "/etc" in watched.armed
    before = watched.notices
    (watched.tree / "etc/passwd").touch()  # not on the way to what is watched for
    watched.expect((watched.tree / "etc/ours").mkdir)
    assert watched.notices - before <= 2
    watched.expect((watched.tree / "etc/ours/conf.d").mkdir)
    watched.expect((watched.tree / "etc/ours/conf.d/local.toml").touch)
    assert watched.armed == set(DIRECTORIES)


def test_a_link_leads_to_the_directory_watched(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/xen").mkdir(parents=True)
    (tmp_path / "boot").symlink_to("/elsewhere")
    found = Watched(tmp_path)
    try:
        assert "/elsewhere/xen" in found.armed
        found.expect((tmp_path / "elsewhere/xen/file").touch)
    finally:
        found.watch.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_emitter_is_replaced(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    emitter = watched.watch._armed[str(watched.tree / "boot/xen")].emitter
    monkeypatch.setattr(emitter, "_count", die)
    watched.expect((watched.tree / "boot/xen/a").touch)
    until(lambda: not emitter.is_alive())
    watched.watch.arm()
    assert watched.watch.is_alive
    watched.expect((watched.tree / "boot/xen/b").touch)


def test_a_dead_dispatcher_is_replaced_and_counted(watched: Watched) -> None:
    observer = watched.watch._observer
    observer.stop()
    observer.join()
    assert not watched.watch.is_alive
    assert watched.watch.arm()
    assert watched.watch.is_alive
    assert watched.watch.deaths == 1
    watched.expect((watched.tree / "boot/xen/b").touch)


def test_a_refused_watch_is_told_and_loses_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot").mkdir()

    def refuse(*_: object) -> int:
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch", refuse)
    monkeypatch.setattr(inotify_c.ctypes, "get_errno", lambda: 28)
    found = Watched(tmp_path)
    try:
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            found.watch.arm()
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert any("limit" in trouble for trouble in found.watch.troubles)
        monkeypatch.undo()
        found.watch.arm()
        assert found.watch.troubles == ()
        found.expect((tmp_path / "boot/file").touch)
    finally:
        found.watch.close()


def test_an_overflow_is_counted(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit = tmp_path / "limit"
    limit.write_text("50\n")
    monkeypatch.setattr(emitter, "QUEUE_LIMIT", str(limit))
    watched.watch.close()
    drawn = threading.Event()
    read = emitter._Inotify.read_events
    monkeypatch.setattr(
        emitter._Inotify, "read_events", lambda inotify: drawn.wait(30) and read(inotify)
    )
    found = Watched(tmp_path)
    try:
        assert found.watch.overflows == 0

        def burst() -> None:
            for number in range(2000):
                (tmp_path / f"boot/xen/{number}").touch()
            drawn.set()

        found.expect(burst)
        until(lambda: found.watch.overflows > 0)
    finally:
        found.watch.close()


def test_close_ends_every_thread_and_keeps_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "boot/xen").mkdir(parents=True)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    found = Watched(tmp_path)
    assert threading.active_count() > threads
    found.watch.close()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
