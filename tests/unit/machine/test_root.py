# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths under one root: every link stays inside, and nothing that stands in a path can hang or
fool a reader.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import fingerprint, listing
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.failures import looked_at
from guest_hooks.machine.root import NotRegularError, Root


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree with something inside, and something beside it that must not be reached."""
    for name in ("guest/boot/xen", "guest/etc", "guest/var/lib", "outside/xen"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "guest/etc/file").write_text("inside")
    (tmp_path / "outside/file").write_text("outside")
    (tmp_path / "outside/xen/file").write_text("outside")
    return tmp_path / "guest"


ESCAPES = [
    pytest.param("link", "../outside", "link/file", id="relative"),
    pytest.param("link", "../../../../../../../../outside", "link/file", id="far-relative"),
    pytest.param("link", "{outside}", "link/file", id="absolute"),
    pytest.param("link", "{outside}/file", "link", id="absolute-file"),
    pytest.param("link", "../outside/file", "link", id="relative-file"),
    pytest.param("boot/xen/link", "../../../outside/file", "boot/xen/link", id="from-below"),
    pytest.param("link", "etc/../../outside/file", "link", id="down-and-up"),
    pytest.param("link", "/../../outside/file", "link", id="above-the-root"),
    pytest.param("link", "./././../outside/file", "link", id="dots"),
    pytest.param("link", "//{outside}//file", "link", id="double-slashes"),
]


@pytest.mark.parametrize(("link", "target", "path"), ESCAPES)
def test_no_link_leads_outside(top: Path, link: str, target: str, path: str) -> None:
    (top / link).symlink_to(target.format(outside=top.parent / "outside"))
    root = Root(str(top))
    assert not root.exists(f"/{path}")
    with pytest.raises(OSError, match="No such file"):
        root.read(f"/{path}")
    with pytest.raises(OSError, match="No such file"):
        root.resolve(f"/{path}")
    assert root.read_text(f"/{path}") is None


@pytest.mark.parametrize(
    "path",
    [
        "../outside/file",
        "/../outside/file",
        "/etc/../../outside/file",
        "/boot/xen/../../../outside/file",
    ],
)
def test_no_path_leads_outside(top: Path, path: str) -> None:
    root = Root(str(top))
    assert not root.exists(path)
    with pytest.raises(OSError, match="No such file"):
        root.read(path)


@pytest.mark.parametrize(
    ("target", "where"),
    [
        pytest.param("/etc/file", "/etc/file", id="absolute"),
        pytest.param("../etc/file", "/etc/file", id="relative"),
        pytest.param("../../../../etc/file", "/etc/file", id="more-ups-than-levels"),
        pytest.param("/boot/../etc/./file", "/etc/file", id="dots"),
    ],
)
def test_a_link_means_what_it_means_in_the_guest(top: Path, target: str, where: str) -> None:
    (top / "boot/link").symlink_to(target)
    root = Root(str(top))
    assert root.resolve("/boot/link") == where
    assert root.read("/boot/link") == b"inside"
    assert root.stat("/boot/link") == root.lstat(where)
    assert root.lstat("/boot/link") != root.lstat(where)


LOOPS = {
    "self": {"a": "a"},
    "two": {"a": "b", "b": "a"},
    "in-a-directory": {"a": "a/b"},
    "long": {f"l{n}": f"l{n + 1}" for n in range(60)},
}


@pytest.mark.parametrize("loop", LOOPS)
def test_links_that_lead_to_each_other_lead_nowhere(top: Path, loop: str) -> None:
    for name, target in LOOPS[loop].items():
        (top / name).symlink_to(target)
    root, first = Root(str(top)), f"/{next(iter(LOOPS[loop]))}"
    assert not root.exists(first)
    assert root.stat(first) is None
    assert root.stat(f"{first}/below") is None
    assert root.lstat(f"{first}/below") is None
    assert root.names(first) == ()
    assert root.read_text(first) is None
    with pytest.raises(OSError):  # noqa: PT011 - ENOENT or ELOOP
        root.read(first)


def test_forty_links_are_followed(top: Path) -> None:
    for number in range(40):
        (top / f"l{number}").symlink_to(f"l{number + 1}")
    (top / "l40").write_text("there")
    assert Root(str(top)).read("/l0") == b"there"


def special(top: Path, kind: str) -> Path:
    path = top / "etc/special"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "sparse":
            with path.open("wb") as file:
                file.truncate(10 << 30)
        case "too-long":
            path.write_bytes(bytes(101))
    return path


@pytest.mark.parametrize("kind", ["fifo", "directory", "sparse", "too-long"])
def test_what_is_no_small_plain_file_is_refused_at_once(top: Path, kind: str) -> None:
    special(top, kind)
    root = Root(str(top))
    with pytest.raises((NotRegularError, IsADirectoryError)):
        root.read("/etc/special", limit=100)
    assert root.read_text("/etc/special", limit=100) is None


def test_a_socket_and_a_device_are_refused(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("etc/socket")
        with pytest.raises(OSError, match="No such device"):
            Root(str(top)).read("/etc/socket")
    with pytest.raises(NotRegularError, match="not a regular file"):
        Root("/").read("/dev/zero")


def test_a_file_at_its_limit_is_read(top: Path) -> None:
    (top / "etc/file").write_bytes(bytes(100))
    assert len(Root(str(top)).read("/etc/file", limit=100)) == 100


ODD = ["new\nline", "tab\t", " ", "-rf", "ä", "\x1b[2J", "a" * 255, "back\\slash", "quote'\"$(id)"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names(top: Path, name: str) -> None:
    root = Root(str(top))
    (top / "etc" / name).write_text("x")
    assert name in root.names("/etc")
    assert root.read(f"/etc/{name}") == b"x"
    root.make_dirs(f"/var/{name}/below")
    assert (top / "var" / name / "below").is_dir()


def test_a_name_that_is_no_utf_8(top: Path) -> None:
    name = os.fsdecode(b"\xff\xfe")
    (top / "etc" / name).write_text("x")
    assert name in Root(str(top)).names("/etc")
    assert Root(str(top)).read(f"/etc/{name}") == b"x"


def test_directories_are_made_inside(top: Path) -> None:
    (top / "var/lib").rmdir()
    (top / "var/lib").symlink_to("/srv")
    (top / "srv").mkdir()
    Root(str(top)).make_dirs("/var/lib/a/b")
    assert (top / "srv/a/b").is_dir()
    assert (top / "srv/a/b").stat().st_mode & 0o777 == 0o755
    Root(str(top)).make_dirs("/var/lib/a/b")


@pytest.mark.parametrize("target", ["{outside}/new", "../../outside/new", "nowhere"])
def test_no_directory_is_made_through_a_link_that_leads_nowhere(top: Path, target: str) -> None:
    (top / "var/link").symlink_to(target.format(outside=top.parent / "outside"))
    with pytest.raises(FileExistsError):
        Root(str(top)).make_dirs("/var/link/below")
    assert sorted(path.name for path in (top.parent / "outside").iterdir()) == ["file", "xen"]


def test_the_root_itself(top: Path) -> None:
    root = Root(str(top))
    assert root.exists("/")
    assert root.resolve("/") == "/"
    assert "etc" in root.names("/")
    assert (root.outside("/boot"), Root().outside("/boot")) == (f"{top}/boot", "/boot")
    assert (root.is_live, Root().is_live) == (False, True)


def test_what_is_not_there(top: Path) -> None:
    root = Root(str(top))
    assert root.lstat("/etc/file/below") is None
    assert root.stat("/nowhere") is None
    assert root.names("/nowhere") == root.names("/etc/file") == ()
    assert root.read_text("/nowhere") is None


def test_what_is_removed_while_it_is_listed_is_not_there(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "dir").mkdir()
    for name in ("kept", "removed"):
        (top / "dir" / name).touch()
    scandir = os.scandir

    @contextmanager
    def listed(directory: int) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(directory) as entries:
            names = list(entries)
        (top / "dir/removed").unlink()
        yield names

    monkeypatch.setattr(os, "scandir", listed)
    assert list(Root(str(top)).entries("/dir")) == ["kept"]


def test_a_large_file_of_holes_is_not_read(top: Path) -> None:
    with (top / "etc/initrd").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(NotRegularError, match="holes"):
        Root(str(top)).read("/etc/initrd", limit=1 << 31)


def test_a_file_that_tells_no_size_is_read_to_its_limit() -> None:
    assert len(Root().read("/proc/self/maps", limit=1 << 20)) > 4096
    with pytest.raises(NotRegularError, match="grows"):
        Root().read("/proc/self/maps", limit=1000)


class Walking(Root):
    """The running system's root, every path of which is walked."""

    SEES_AS_KERNEL = False


@pytest.mark.parametrize(
    "below",
    [
        "",
        "file",
        "file/",
        "file/below",
        "absent",
        "absent/below",
        "directory",
        "directory/../file",
        "directory/.",
        "link",
        "link/inside",
        "link/../file",
        "dangling",
        "loop",
        "loop/below",
    ],
)
def test_the_kernel_comes_where_the_walk_does(tmp_path: Path, below: str) -> None:
    """Of the running system the kernel is asked: it follows the same links."""
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/inside").write_bytes(b"22")
    for name, target in (("link", "directory"), ("dangling", "no"), ("loop", "loop")):
        (tmp_path / name).symlink_to(target)
    path = f"{tmp_path}/{below}"
    kernel, walk = Root(), Walking()
    assert kernel.lstat(path) == walk.lstat(path)
    assert kernel.stat(path) == walk.stat(path)
    assert kernel.names(path) == walk.names(path)
    assert outcome(kernel, path) == outcome(walk, path)


def outcome(root: Root, path: str) -> object:
    try:
        fd = root.open_dir(path)
    except OSError as error:
        return type(error), error.filename
    with closing(fd):
        return os.fstat(fd).st_ino


def test_a_link_of_proc_is_what_it_says(tmp_path: Path) -> None:
    """/proc/self/fd/N leads the kernel elsewhere than its text, where that file was replaced."""
    (tmp_path / "file").write_bytes(b"1")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with closing(fd):
        (tmp_path / "file").unlink()
        assert not Root().exists(f"/proc/self/fd/{fd}")


def test_a_directory_of_a_million_names_is_not_read_to_its_end(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_NAMES", 10)
    root, crowded = Root(str(top)), top / "crowded"
    crowded.mkdir()
    for number in range(10):
        (crowded / f"vmlinuz-{number}").touch()
    assert len(root.names("/crowded")) == len(root.entries("/crowded")) == 10
    held = fingerprint.measured([("dir", str(crowded)), ("kernels", str(crowded))])
    (crowded / "vmlinuz-10").touch()
    for look in (root.names, root.entries, lambda path: root.files(path, lambda _: True)):
        with pytest.raises(OSError, match="it holds more than 10 names: '/crowded'"):
            look("/crowded")
    now = fingerprint.measured([("dir", str(crowded)), ("kernels", str(crowded))])
    assert not set(held) & set(now)
    with (
        pytest.raises(NotRepairedError, match="/crowded could not be looked at: it holds") as told,
        looked_at(root),
    ):
        root.names("/crowded")
    assert told.value.hint == f"see what fills it: ls -U {top}/crowded | head"
