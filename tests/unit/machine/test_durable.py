# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing files: whole or not at all, and never outside the root."""

import errno
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.errors import GuestHooksError, LackingError, NotRepairedError
from guest_hooks.machine import durable, failures, libc, space
from guest_hooks.machine.root import Root

OLD = b"old"
NEW = b"new bytes"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "guest/boot").mkdir(parents=True)
    return Root(str(tmp_path / "guest"))


@pytest.fixture
def boot(root: Root) -> Path:
    return Path(root.path) / "boot"


def raising(point: str, error: BaseException) -> Callable[[str], None]:
    def fail(name: str) -> None:
        if name == point:
            raise error

    return fail


@pytest.mark.parametrize(("sync", "times"), [(True, 2), (False, 0)])
def test_a_file_that_can_be_lost_waits_for_no_disk(
    root: Root, boot: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, times: int
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    durable.replace(root, "/boot/file", NEW, sync=sync)
    assert (boot / "file").read_bytes() == NEW
    assert len(waits) == times


def test_a_file_is_made_with_exactly_these_bytes_and_mode(root: Root, boot: Path) -> None:
    before = os.umask(0o077)
    try:
        durable.replace(root, "/boot/file", NEW, mode=0o640)
    finally:
        os.umask(before)
    assert (boot / "file").read_bytes() == NEW
    assert stat.S_IMODE((boot / "file").stat().st_mode) == 0o640
    assert root.names("/boot") == ("file",)


@pytest.mark.parametrize(
    "kind", ["file", "fifo", "symlink", "dangling", "empty-directory", "hardlink", "unreadable"]
)
def test_what_stands_there_is_replaced_and_not_followed(
    root: Root, boot: Path, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(OLD)
    path = boot / "file"
    match kind:
        case "file":
            path.write_bytes(OLD)
        case "fifo":
            os.mkfifo(path)
        case "symlink":
            path.symlink_to(outside)
        case "dangling":
            path.symlink_to("nowhere")
        case "empty-directory":
            path.mkdir()
        case "hardlink":
            path.hardlink_to(outside)
        case _:
            path.write_bytes(OLD)
            path.chmod(0)
    durable.replace(root, "/boot/file", NEW)
    assert stat.S_ISREG(path.lstat().st_mode)
    assert path.read_bytes() == NEW
    assert outside.read_bytes() == OLD


def test_a_link_on_the_way_stays_inside_the_root(root: Root, boot: Path, tmp_path: Path) -> None:
    (tmp_path / "guest/elsewhere").mkdir()
    (boot / "xen").symlink_to("/elsewhere")
    durable.replace(root, "/boot/xen/file", NEW)
    assert (tmp_path / "guest/elsewhere/file").read_bytes() == NEW


def test_a_directory_with_files_is_left_alone(root: Root, boot: Path) -> None:
    (boot / "file").mkdir()
    (boot / "file/precious").write_bytes(OLD)
    with pytest.raises(NotRepairedError, match="/boot/file is a directory with files in it"):
        durable.replace(root, "/boot/file", NEW)
    assert root.names("/boot") == ("file",)
    assert durable.move_aside(root, "/boot/file") == "/boot/file.moved-aside"
    durable.replace(root, "/boot/file", NEW)
    assert (boot / "file.moved-aside/precious").read_bytes() == OLD


def test_what_was_moved_aside_before_is_kept(root: Root, boot: Path) -> None:
    for number in range(3):
        (boot / "file").write_bytes(b"%d" % number)
        durable.move_aside(root, "/boot/file")
    names = ("file.moved-aside", "file.moved-aside-1", "file.moved-aside-2")
    assert [(boot / name).read_bytes() for name in names] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("point", ["written", "synced"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(errno.ENOSPC, LackingError, id="space"),
        pytest.param(errno.EDQUOT, LackingError, id="quota"),
        pytest.param(errno.EROFS, LackingError, id="read-only"),
        pytest.param(errno.EPERM, LackingError, id="immutable"),
        pytest.param(errno.EIO, NotRepairedError, id="disk"),
        pytest.param(errno.EMFILE, LackingError, id="descriptors"),
        pytest.param(errno.EBUSY, NotRepairedError, id="other"),
    ],
)
def test_an_error_names_path_and_cause_and_leaves_the_old_file(
    root: Root, boot: Path, point: str, code: int, expected: type[GuestHooksError]
) -> None:
    (boot / "file").write_bytes(OLD)
    with pytest.raises(
        expected, match=f"/boot/file could not be replaced: {os.strerror(code)}"
    ) as caught:
        durable.replace(
            root, "/boot/file", NEW, failpoint=raising(point, OSError(code, os.strerror(code)))
        )
    assert type(caught.value) is expected
    assert ("it needs 9 B, and" in caught.value.message) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert root.names("/boot") == ("file",)
    assert (boot / "file").read_bytes() == OLD


@pytest.mark.parametrize("point", ["written", "synced", "renamed"])
def test_an_interrupted_call_is_begun_again(root: Root, boot: Path, point: str) -> None:
    seen: list[str] = []

    def interrupt(name: str) -> None:
        seen.append(name)
        if name == point and seen.count(name) < 3:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

    durable.replace(root, "/boot/file", NEW, failpoint=interrupt)
    assert seen.count(point) == 3
    assert (boot / "file").read_bytes() == NEW
    assert root.names("/boot") == ("file",)


def test_interruptions_without_end_are_an_error(root: Root) -> None:
    with pytest.raises(NotRepairedError, match="Interrupted"):
        durable.replace(
            root,
            "/boot/file",
            NEW,
            failpoint=raising("written", InterruptedError(errno.EINTR, "Interrupted")),
        )


def test_a_keyboard_interrupt_leaves_nothing_behind(root: Root) -> None:
    with pytest.raises(KeyboardInterrupt):
        durable.replace(root, "/boot/file", NEW, failpoint=raising("written", KeyboardInterrupt()))
    assert root.names("/boot") == ()


@pytest.mark.parametrize(
    ("point", "left"),
    [("written", OLD), ("synced", OLD), ("renamed", NEW), ("done", NEW)],
    ids=["written", "synced", "renamed", "done"],
)
def test_killed_at_any_step_the_file_is_whole_and_the_rest_is_swept(
    root: Root, boot: Path, point: str, left: bytes
) -> None:
    (boot / "file").write_bytes(OLD)
    (boot / ".xen-guest-bootloader-notes.tmp").write_bytes(OLD)
    pid = os.fork()
    if pid == 0:
        try:
            durable.replace(
                root,
                "/boot/file",
                NEW,
                failpoint=lambda name: (
                    os.kill(os.getpid(), signal.SIGKILL) if name == point else None
                ),
            )
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert (boot / "file").read_bytes() == left
    assert len(durable.sweep(root, "/boot")) == (1 if left == OLD else 0)
    assert root.names("/boot") == (".xen-guest-bootloader-notes.tmp", "file")


def test_a_missing_directory_is_told(root: Root) -> None:
    with pytest.raises(
        NotRepairedError, match="/boot/xen/file could not be replaced: No such file or directory"
    ):
        durable.replace(root, "/boot/xen/file", NEW)


def test_a_file_where_a_directory_should_be_made_is_told(root: Root, boot: Path) -> None:
    (boot / "xen").write_bytes(OLD)
    with pytest.raises(
        NotRepairedError, match="/boot/xen/below could not be made: Not a directory"
    ):
        durable.make_dirs(root, "/boot/xen/below")


def test_directories_are_made_from_the_top_on(tmp_path: Path) -> None:
    durable.make_dirs(Root(str(tmp_path)), "/a/b/c")
    assert (tmp_path / "a/b/c").is_dir()


def test_directories_are_exchanged(root: Root, boot: Path) -> None:
    for name, data in (("new", NEW), ("current", OLD)):
        (boot / name).mkdir()
        (boot / name / "file").write_bytes(data)
    durable.exchange_dir(root, "/boot/new", "/boot/current")
    assert ((boot / "current/file").read_bytes(), (boot / "new/file").read_bytes()) == (NEW, OLD)


def test_a_directory_takes_a_free_place(root: Root, boot: Path) -> None:
    (boot / "new").mkdir()
    durable.exchange_dir(root, "/boot/new", "/boot/current")
    assert root.names("/boot") == ("current",)


def test_a_file_system_that_cannot_exchange_is_told(
    root: Root, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    (boot / "new").mkdir()
    (boot / "current").mkdir()
    monkeypatch.setattr(libc, "rename2", refuse)
    with pytest.raises(NotRepairedError, match="cannot swap two directories"):
        durable.exchange_dir(root, "/boot/new", "/boot/current")


def test_nothing_to_exchange_is_an_error(root: Root) -> None:
    with pytest.raises(
        NotRepairedError, match="/boot/current could not be exchanged: No such file"
    ):
        durable.exchange_dir(root, "/boot/new", "/boot/current")


def test_a_file_is_removed_and_a_missing_one_is_no_error(root: Root, boot: Path) -> None:
    (boot / "file").symlink_to("/")
    durable.remove(root, "/boot/file")
    durable.remove(root, "/boot/file")
    durable.remove(root, "/nowhere/file")
    assert root.names("/boot") == ()


def test_a_directory_is_not_removed_as_a_file(root: Root) -> None:
    with pytest.raises(NotRepairedError, match="/boot could not be removed: Is a directory"):
        durable.remove(root, "/boot")


def test_a_tree_is_removed_without_following_links(root: Root, boot: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (boot / "staging/deep").mkdir(parents=True)
    (boot / "staging/deep/link").symlink_to(tmp_path / "outside")
    (boot / "staging/file").touch()
    durable.remove_tree(root, "/boot/staging")
    durable.remove_tree(root, "/boot/staging")
    assert root.names("/boot") == ()
    assert (tmp_path / "outside/kept").exists()


def test_sweeping_no_directory_is_no_error(root: Root) -> None:
    assert durable.sweep(root, "/nowhere") == ()


def test_space_is_asked_of_the_nearest_directory(root: Root) -> None:
    assert space.free(root, "/boot/xen/not/there") > 0
    space.require(root, "/boot/xen/not/there", 1)
    with pytest.raises(LackingError, match=r"it needs 1048576 TiB, and [\d.]+ .?i?B are free"):
        space.require(root, "/boot/xen", 1 << 60)


def test_an_error_without_a_number_is_still_told(root: Root) -> None:
    with (
        pytest.raises(NotRepairedError, match="/x could not be read: strange"),
        failures.told(root, "/x", "read"),
    ):
        raise OSError("strange")
