# SPDX-License-Identifier: GPL-3.0-or-later
"""The only module that replaces files others boot from.

Each path is, at every moment, what it was before or what it is meant to be. The last component of a
path is never followed; a symbolic link there is replaced. That GRUB sees the change is `barrier`'s
work, once for all the files of a commit.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import libc, removal, temporary
from guest_hooks.machine.barrier import barrier, is_late, open_directory
from guest_hooks.machine.descriptors import closing, readable
from guest_hooks.machine.failures import told, uninterrupted
from guest_hooks.machine.freeze import Failpoint, no_failpoint
from guest_hooks.machine.root import Owner, Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Problem

MOST_ASIDE = 100


def replace(
    root: Root,
    path: str,
    data: bytes,
    *,
    mode: int = 0o644,
    sync: bool = True,
    failpoint: Failpoint = no_failpoint,
) -> None:
    """Make `path` a regular file of exactly `data`, on the disk; its directory must exist. Without
    `sync` it comes there some time, and a power cut may leave an empty one.

    Whatever stands there is replaced, an empty directory included; one with files in it is an error
    (see `move_aside`). Nothing of the old inode is kept. Where it fails, the old file is untouched
    and the temporary one gone. `failpoint` is called with `written`, `synced`, `renamed` and
    `done`.
    """
    with told(root, path, "replaced", need=len(data)):
        uninterrupted(lambda: _replace(root, path, data, mode, sync, failpoint))


def replace_all(
    root: Root,
    files: Mapping[str, bytes],
    *,
    mode: int = 0o644,
    owner: Owner | None = None,
    settling: Settling | None = None,
) -> tuple[Problem, ...]:
    """Make every path of `files`, all in one directory, a file of exactly those bytes; GRUB
    never reads less than a whole one.

    GRUB sees metadata as it happens to be written back. So the new files are settled on the disk
    before a name points to them, and the old ones keep a second name until the new names are
    settled, too, or longer where that is late or the run ends there: then they are left to `sweep`.
    With an `owner` a file is taken for written in place: its access list and the like stay.
    With `settling` this second wait is the caller's, and so is what could not be made sure of; else
    that is returned. Raises `NotRepairedError` where the new files can't be settled in time: then
    no name has changed.
    """
    waits = settling or Settling(root)
    prepared, kept = dict[str, str](), list[str]()
    where = os.path.dirname(next(iter(files)))
    has_changed = False
    try:
        for path, data in files.items():
            with told(root, path, "written", need=len(data)):
                prepared[path] = _prepare(root, path, data, mode, owner)
                kept += _keep(root, path)
        waits.before_names(where)
        has_changed = True
        for path in files:
            with told(root, path, "replaced"):
                _take_name(root, prepared[path], path)
            del prepared[path]
    finally:
        _remove_each(root, {*prepared.values(), *(() if has_changed else kept)})
    return _changed(root, waits, where, kept, is_own=settling is None)


def remove_all(
    root: Root, paths: Sequence[str], *, settling: Settling | None = None
) -> tuple[Problem, ...]:
    """Remove the files `paths`, all in one directory; afterwards GRUB finds none of them, and
    it never reads less than a whole one.

    As in `replace_all`, a second name stands until the first is gone for GRUB, too.
    """
    if not paths:
        return ()
    waits = settling or Settling(root)
    kept: list[str] = []
    for path in paths:
        with told(root, path, "removed"):
            kept += _keep(root, path)
        remove(root, path)
    return _changed(root, waits, os.path.dirname(paths[0]), kept, is_own=settling is None)


def _changed(
    root: Root, settling: Settling, where: str, kept: Sequence[str], *, is_own: bool
) -> tuple[Problem, ...]:
    settling.after_names(where, [partial(remove, root, path) for path in kept])
    if not is_own:
        return ()
    settling.finish()
    return settling.problems


def _remove_each(root: Root, paths: Iterable[str]) -> None:
    for path in paths:
        remove(root, path)


def fill_dir(root: Root, path: str, files: Mapping[str, bytes]) -> None:
    """Make the directory `path`, which must not exist, with `files` in it; `exchange_dir`
    brings it to the disk.
    """
    with (
        told(root, path, "filled", need=sum(map(len, files.values()))),
        root.parent(path) as (parent, name),
    ):
        os.mkdir(name, 0o755, dir_fd=parent)
        with closing(root.open_dir(path)) as directory:
            for file, data in files.items():
                temporary.write(directory, file, data, 0o644, sync=False)


def remove(root: Root, path: str) -> None:
    """Remove the file or link `path`, on the disk; that nothing stands there is no error."""
    with told(root, path, "removed"):
        uninterrupted(lambda: _remove(root, path))


def remove_tree(root: Root, path: str) -> None:
    """Remove what this software made at `path`, a directory with all below it; follows no link
    and enters no other file system.
    """
    with told(root, path, "removed"):
        uninterrupted(lambda: _remove_tree(root, path))


def move_aside(root: Root, path: str) -> str:
    """Rename whatever stands at `path` to a free name beside it, and return that name: no file
    is lost.
    """
    with told(root, path, "moved aside"), root.parent(path) as (directory, name):
        for number in range(MOST_ASIDE):
            aside = f"{name}.moved-aside" + (f"-{number}" if number else "")
            with suppress(FileExistsError):
                libc.rename2(directory, name, directory, aside, libc.RENAME_NOREPLACE)
                _sync_directory(directory)
                return os.path.join(os.path.dirname(path), aside)
    raise NotRepairedError(
        f"{root.outside(path)} could not be moved aside: {MOST_ASIDE} names beside it are taken",
        hint=f"remove what nobody needs: ls -ld {shlex.quote(root.outside(path))}.moved-aside*",
    )


def exchange_dir(root: Root, new: str, current: str) -> None:
    """Swap the directories `new` and `current` in one step, on the disk; afterwards `new` is
    what was `current`.

    Where nothing stands at `current`, `new` is renamed to it. What is in `new` is written out
    first.
    """
    with told(root, current, "exchanged"):
        with open_directory(root, new) as fd:
            libc.syncfs(fd)
        with root.parent(new) as (new_parent, new_name), root.parent(current) as (parent, name):
            try:
                libc.rename2(new_parent, new_name, parent, name, libc.RENAME_EXCHANGE)
            except FileNotFoundError:
                libc.rename2(new_parent, new_name, parent, name, libc.RENAME_NOREPLACE)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                raise NotRepairedError(
                    f"{root.outside(current)} could not be exchanged: its file system cannot swap"
                    " two directories in one step",
                    hint='set modules = "embedded": then one file is all that has to change',
                ) from error
            _sync_directory(parent)
            _sync_directory(new_parent)


def sweep(root: Root, directory: str) -> tuple[str, ...]:
    """Remove what a killed `replace` left in `directory` and return those names; call it under
    the lock.
    """
    left = tuple(name for name in root.names(directory) if temporary.is_ours(name))
    # One of them may be the file that GRUB still finds by the proper name.
    if not left or is_late(barrier(root, directory)):
        return ()
    for name in left:
        path = f"{directory.rstrip('/')}/{name}"
        status = root.lstat(path)
        if status is not None and stat.S_ISREG(status.st_mode):
            remove(root, path)
    return left


def make_dirs(root: Root, path: str) -> None:
    """Make the directory `path` and those above it, on the disk, where they are missing."""
    with told(root, path, "made"):
        uninterrupted(lambda: root.make_dirs(path))


def _replace(
    root: Root, path: str, data: bytes, mode: int, sync: bool, failpoint: Failpoint
) -> None:
    with root.parent(path) as (directory, name):
        with temporary.held(directory) as (new, keep):
            temporary.write(directory, new, data, mode, sync=sync, failpoint=failpoint)
            _rename(directory, new, name, root.outside(path))
            keep()
        failpoint("renamed")
        if sync:
            _sync_directory(directory)
        failpoint("done")


def _prepare(root: Root, path: str, data: bytes, mode: int, owner: Owner | None) -> str:
    """Write `data` beside `path` and return under which name."""
    with root.parent(path) as (directory, name), temporary.held(directory) as (new, keep):
        temporary.write(directory, new, data, mode)
        if owner is not None:
            os.chown(new, *owner, dir_fd=directory, follow_symlinks=False)
            temporary.take_attributes(directory, name, new)
        keep()
    return os.path.join(os.path.dirname(path), new)


def _keep(root: Root, path: str) -> list[str]:
    """Give the regular file at `path` a second name, so that its inode outlives the first;
    nothing where there is no such file.
    """
    with root.parent(path) as (directory, name):
        second = temporary.name()
        try:
            if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                return []
            os.link(name, second, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return []
    return [os.path.join(os.path.dirname(path), second)]


def _take_name(root: Root, new: str, path: str) -> None:
    with root.parent(path) as (directory, name):
        _rename(directory, os.path.basename(new), name, root.outside(path))
        _sync_directory(directory)


def _rename(directory: int, new: str, name: str, where: str) -> None:
    try:
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except IsADirectoryError:
        _remove_empty(directory, name, where)
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)


def _remove_empty(directory: int, name: str, where: str) -> None:
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise NotRepairedError(
            f"{where} is a directory with files in it",
            hint=f"move it away: mv {shlex.join([where, f'{where}.away'])}",
        ) from error


def _remove(root: Root, path: str) -> None:
    with suppress(FileNotFoundError), root.parent(path) as (directory, name):
        os.unlink(name, dir_fd=directory)
        _sync_directory(directory)


def _remove_tree(root: Root, path: str) -> None:
    with suppress(FileNotFoundError), root.parent(path) as (directory, name):
        removal.remove_all(directory, name)
        _sync_directory(directory)


def _sync_directory(directory: int) -> None:
    with closing(readable(directory)) as fd:
        os.fsync(fd)
