# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a path inside a tree, component by component with directory descriptors, so that no
link leads out and what is opened is what was walked to.

Each component is looked at and opened once; most of what a run asks of a tree comes through here.
"""

import errno
import os
import stat
from collections.abc import Callable

from guest_hooks.machine.path_errors import reraise

MAX_LINKS = 40
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

ReadLink = Callable[[int, str], str]
"""What the link of this name in an open directory says."""


def resolved(top: str, path: str, read_link: ReadLink) -> str:
    """`path` of the tree at `top` with every link followed inside it; raises `OSError` where it
    leads nowhere.
    """
    done, _, fd = _follow(top, path, read_link)
    os.close(fd)
    return done or "/"


def directory(top: str, path: str, read_link: ReadLink) -> int:
    """A descriptor (O_PATH) of the directory `path`, links followed; the caller closes it."""
    done, at, fd = _follow(top, path, read_link)
    return _moved(top, fd, at, done)


def _follow(top: str, path: str, read_link: ReadLink) -> tuple[str, str, int]:
    """`path` with every link followed (empty: the top), and the last directory that was opened on
    the way: its path, and a descriptor that the caller closes.
    """
    done = at = ""
    todo, links = _parts(path), 0
    fd = _opened(top)
    while todo:
        part = todo.pop()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        fd, at = _moved(top, fd, at, done), done
        try:
            if not stat.S_ISLNK(os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode):
                done = f"{done}/{part}"
                continue
            target = read_link(fd, part)
        except OSError as error:
            os.close(fd)
            reraise(error, done)
        except BaseException:
            os.close(fd)
            raise
        links += 1
        if links > MAX_LINKS:
            os.close(fd)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        done = "" if target.startswith("/") else done
        todo += _parts(target)
    return done, at, fd


def _moved(top: str, fd: int, at: str, path: str) -> int:
    """A descriptor of `path`, of whose components none may be a link, in place of `fd`, which is
    one of the directory `at` and is closed.
    """
    if at == path:
        return fd
    names = [path.rpartition("/")[2]]
    if path != f"{at}/{names[0]}":
        os.close(fd)
        fd, names = _opened(top), _parts(path)
    while names:
        try:
            below = os.open(names.pop(), DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except OSError as error:
            reraise(error, path)
        finally:
            os.close(fd)
        fd = below
    return fd


def _opened(top: str) -> int:
    try:
        return os.open(top, DIRECTORY)
    except OSError as error:
        reraise(error, "")


def _parts(path: str) -> list[str]:
    """The components of `path`, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
