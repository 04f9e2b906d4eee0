# SPDX-License-Identifier: GPL-3.0-or-later
"""Every path of the guest, under one root that no symbolic link can leave.

A path is written as the guest sees it (`/boot/xen`). It is walked component by component with
directory descriptors, and a link's target is taken relative to the root, as chroot(2) would; what
is opened is what was walked to, even if the tree changes meanwhile.
"""

import errno
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from guest_hooks.errors import LackingError
from guest_hooks.machine import walk
from guest_hooks.machine.descriptors import closing, readable
from guest_hooks.machine.listing import listed
from guest_hooks.machine.path_errors import leading_nowhere, naming
from guest_hooks.records import dataclass
from guest_hooks.sizes import MAX_READ, size

Owner = tuple[int, int]
"""The numbers of the user and the group that a file belongs to."""
SMALL = 4096
"""Bytes to ask for where a file tells no size, as those of /proc and /sys do."""
LARGE, MOST_HOLES = 16 * 1024 * 1024, 4
"""Bytes from which on a file must not be more than so many times what the file system holds of
it: packed files have no holes.
"""

MOST_FILES = 4096
"""Names in one directory that are read together; GRUB 2.14 has about 300 modules."""


class NotRegularError(LackingError):
    """A fifo, device, directory or over-long file stands where a plain file is expected."""


@dataclass(frozen=True, slots=True)
class Root:
    """A guest's tree: `/` for the running one, else the top of an image's.

    `path` is absolute, without a trailing slash beyond `/`.
    """

    SEES_AS_KERNEL = True
    """Whether a subclass has no word of its own on what is behind a path of the running system."""

    path: str = "/"

    @property
    def is_live(self) -> bool:
        """Whether this is the running system's own tree."""
        return self.path == "/"

    def outside(self, path: str) -> str:
        """`path` as a process outside the tree names it; for messages and for mounts, never to
        open a file.
        """
        return path if self.is_live else self.path + path

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the directory that holds `path`, all links resolved inside the root,
        and the last component's name.

        The last component is not followed. Raises `OSError` as the walk meets it.
        """
        directory, name = os.path.split(path.rstrip("/"))
        with closing(self.open_dir(directory)) as fd:
            yield fd, name

    def open_dir(self, path: str) -> int:
        """A descriptor (O_PATH) of the directory `path`; the caller closes it."""
        if self._is_plain(path):
            with suppress(OSError):  # the walk tells where it ends
                return os.open(path, walk.DIRECTORY)
        return walk.directory(self.path, path, self._target)

    def lstat(self, path: str) -> os.stat_result | None:
        """The status of `path` itself, or None where nothing stands there."""
        if self._is_plain(path):
            try:
                return os.lstat(path.rstrip("/") or "/")
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                pass  # the walk tells where
        with leading_nowhere(), self.parent(path) as (fd, name), naming(os.path.dirname(path)):
            return os.stat(name, dir_fd=fd, follow_symlinks=False) if name else os.fstat(fd)
        return None

    def stat(self, path: str) -> os.stat_result | None:
        """The status of what `path` leads to inside the root, or None where it leads nowhere."""
        if self._is_plain(path):
            try:
                return os.stat(path.rstrip("/") or "/")
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                pass  # as above
        with leading_nowhere():
            return self.lstat(self.resolve(path))
        return None

    def resolve(self, path: str) -> str:
        """`path` with every symbolic link followed inside the root; raises `OSError` where it
        leads nowhere.
        """
        return walk.resolved(self.path, path, self._target)

    def _is_plain(self, path: str) -> bool:
        """Whether the kernel comes to `path` as the walk does: this is all that the process sees,
        and no link of /proc is followed, of which some lead elsewhere than they say.
        """
        is_all = self.path == "/" and self.SEES_AS_KERNEL
        return is_all and path.startswith("/") and not path.startswith("/proc/")

    def _target(self, directory: int, name: str) -> str:
        """What the link `name` in an open directory says; a stricter root may refuse it."""
        return os.readlink(name, dir_fd=directory)

    def destination(self, path: str) -> str:
        """Where a file that is written through `path` comes to stand, links followed; it need
        not be there yet.
        """
        for _ in range(walk.MAX_LINKS):
            directory, name = os.path.split(path)
            path = f"{self.resolve(directory).rstrip('/')}/{name}"
            with self.parent(path) as (fd, _):
                try:
                    path = os.path.join(os.path.dirname(path), self._target(fd, name))
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.ENOENT):
                        raise
                    return path
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def target(self, path: str) -> str:
        """What the symbolic link at `path` says; raises `OSError` where none stands there."""
        with self.parent(path) as (directory, name):
            return self._target(directory, name)

    def exists(self, path: str) -> bool:
        """Whether `path` leads to something inside the root."""
        return self.stat(path) is not None

    def read(self, path: str, *, limit: int = MAX_READ) -> bytes:
        """The bytes of the regular file `path` leads to; never blocks on a fifo or device.

        Raises `FileNotFoundError`, or `NotRegularError` for anything but a plain file of at most
        `limit` bytes.
        """
        with self.parent(self.resolve(path)) as (directory, name):
            return _read_at(directory, name, path, limit)

    def content(self, path: str, *, limit: int = MAX_READ) -> bytes | None:
        """As `read`, or None where the file is missing or refuses to be read."""
        with suppress(OSError, NotRegularError):
            return self.read(path, limit=limit)
        return None

    def read_text(self, path: str, *, limit: int = 65536) -> str | None:
        """The `content` of a small file as text; undecodable bytes are replaced."""
        data = self.content(path, limit=limit)
        return None if data is None else data.decode(errors="replace")

    def names(self, path: str) -> tuple[str, ...]:
        """The sorted names in the directory `path`; empty where there is no such directory.

        Raises `OSError` for a directory of more than `listing.MOST_NAMES`, as `files` and `entries`
        do.
        """
        with leading_nowhere(), self._listed(path) as directory:
            return tuple(sorted(entry.name for entry in listed(directory, path)))
        return ()

    def files(self, path: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The bytes of those plain files in the directory `path` whose names are `wanted`; what
        else stands there is left out.

        So is, in the order of names, what lies beyond `MOST_FILES` of them, or `MAX_READ` bytes of
        all together.
        """
        found: dict[str, bytes] = {}
        with leading_nowhere(), self._listed(path) as directory:
            left = MAX_READ
            names = (entry.name for entry in listed(directory, path))
            for name in sorted(filter(wanted, names))[:MOST_FILES]:
                with suppress(OSError, NotRegularError):
                    found[name] = _read_at(directory, name, f"{path}/{name}", left)
                    left -= len(found[name])
        return found

    def entries(self, path: str) -> dict[str, os.stat_result]:
        """What stands in the directory `path`, by name, links as such; empty where there is no
        such directory.
        """
        standing: dict[str, os.stat_result] = {}
        with leading_nowhere(), self._listed(path) as directory:
            for entry in listed(directory, path):
                with suppress(FileNotFoundError):  # removed since it was listed
                    standing[entry.name] = entry.stat(follow_symlinks=False)
        return standing

    def make_dirs(self, path: str) -> None:
        """Make the directory `path` and those above it where they are missing."""
        missing: list[str] = []
        while not self.exists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for directory in reversed(missing):
            with self.parent(directory) as (fd, name):
                try:
                    os.mkdir(name, 0o755, dir_fd=fd)
                except FileExistsError:  # another run was first, or it is a link that leads nowhere
                    if not self.exists(directory):
                        raise
                with naming(os.path.dirname(directory)), closing(readable(fd)) as above:
                    os.fsync(above)

    @contextmanager
    def _listed(self, path: str) -> Iterator[int]:
        """A descriptor by which the directory `path` can be listed and synced."""
        with closing(self.open_dir(path)) as fd, naming(path):
            directory = readable(fd)
        with closing(directory):
            yield directory


def _read_at(directory: int, name: str, path: str, limit: int) -> bytes:
    """The bytes of the plain file `name` in an open directory; `path` is what messages call it."""
    with naming(path):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=directory)
    with closing(fd):
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(
                f"{path} is not a regular file", hint=f"look at it with: ls -l {shlex.quote(path)}"
            )
        if status.st_size > limit:
            raise NotRegularError(
                f"{path} has {size(status.st_size)}, more than the {size(limit)} that can be right"
            )
        if status.st_size > LARGE and status.st_blocks * 512 < status.st_size // MOST_HOLES:
            raise NotRegularError(
                f"{path} has {size(status.st_size)}, and nearly all of it is holes"
            )
        with naming(path):
            data = os.read(fd, max(status.st_size + 1, SMALL))
            data = data if len(data) == status.st_size else data + _rest(fd, limit)
        if len(data) > limit:
            raise NotRegularError(
                f"{path} grows while it is read, beyond the {size(limit)} that can be right"
            )
        return data


def _rest(fd: int, limit: int) -> bytes:
    """What is still to be read: of a file that grew meanwhile, or that never tells its size, as
    those of /proc and /sys.
    """
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read(limit + 1)
