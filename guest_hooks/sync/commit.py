# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting what was built where GRUB reads it, in an order that leaves the guest bootable after
every single step.

A self-contained second stage needs nothing of /boot/grub/<target>, so it goes first and the module
directory follows. One that reads modules from there must change together with them: a
self-contained one stands in until the directory has been exchanged.
"""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from guest_hooks.machine import durable, space, staging
from guest_hooks.machine.barrier import barrier, is_late
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.paths import BOOT_XEN, GRUB_DIR, PREVIOUS_DIR, STATE_DIR
from guest_hooks.survey.evidence import find, is_of_grub_install
from guest_hooks.sync.build import Built
from guest_hooks.sync.delta import Delta
from guest_hooks.targets import TARGETS

NEW_SUFFIX = ".xen-guest-bootloader-new"
BLOCK = 4096
MARGIN = 256 * 1024
"""Bytes beyond the files themselves: directory blocks, extents, a grub.cfg. BLOCK is the usual
one of /boot.
"""


def sweep(root: Root) -> None:
    """Remove what killed runs left; the caller holds the lock."""
    staging.sweep()
    for directory in (BOOT_XEN, GRUB_DIR, STATE_DIR, PREVIOUS_DIR):
        durable.sweep(root, directory)
    for new in (target.grub_dir + NEW_SUFFIX for target in TARGETS.values()):
        # It may be the directory that GRUB still finds by the proper name.
        if root.lstat(new) is not None and not is_late(barrier(root, new)):
            durable.remove_tree(root, new)


def install(
    root: Root,
    delta: Delta,
    settling: Settling,
    *,
    reads_modules: bool = False,
    stand_ins: Sequence[Built] = (),
) -> None:
    """Install `delta`. GRUB sees the last of it when `settling` ends.

    `reads_modules`: these second stages are not self-contained. `stand_ins` are self-contained ones
    to boot from while a module directory changes; without one, nothing may be there that boots from
    it. Raises `LackingError` where there is not room for all of it at once; then nothing was
    touched.
    """
    spare = {path: data for each in stand_ins for path, data in each.files.items()}
    space.require(root, BOOT_XEN, _peak(delta, spare))
    if reads_modules:
        _put(root, spare, settling)
        _exchange(root, delta.directories, settling, whole=True)
        again = {
            path: data
            for each in delta.directories
            for path, data in each.files.items()
            if path in spare
        }
        _put(root, {**delta.files, **again}, settling)
    else:
        _put(root, delta.files, settling)
        _exchange(root, delta.directories, settling, whole=False)
    _make_way(root, delta.not_read)
    for path, data in delta.not_read.items():
        durable.replace(root, path, data)
        settling.after_names(os.path.dirname(path), ())
    durable.remove_all(root, delta.unwanted, settling=settling)


def _put(root: Root, files: Mapping[str, bytes], settling: Settling) -> None:
    """Replace files that all lie in /boot/xen; a directory with somebody's files in the way is
    given another name.
    """
    if not files:
        return
    durable.make_dirs(root, BOOT_XEN)
    _make_way(root, files)
    durable.replace_all(root, files, settling=settling)


def _make_way(root: Root, paths: Iterable[str]) -> None:
    for path in paths:
        status = root.lstat(path)
        if status is not None and stat.S_ISDIR(status.st_mode) and root.names(path):
            durable.move_aside(root, path)


def _exchange(root: Root, built: Sequence[Built], settling: Settling, *, whole: bool) -> None:
    """Exchange module directories; with `whole` GRUB must find either the whole old or the
    whole new one at any instant.
    """
    for each in built:
        where = each.plan.target.grub_dir
        new = where + NEW_SUFFIX
        durable.make_dirs(root, os.path.dirname(where))
        durable.fill_dir(root, new, _kept(root, each) | dict(each.module_files or {}))
        if whole:
            settling.before_names(where)
        durable.exchange_dir(root, new, where)
        settling.after_names(where, [partial(durable.remove_tree, root, new)])


def _kept(root: Root, built: Built) -> dict[str, bytes]:
    """What grub-install would leave alone in a module directory: all but what it copies and
    makes there itself.
    """
    where = built.plan.target.grub_dir
    names = (name for name in root.names(where) if not is_of_grub_install(name))
    return {
        name: data for name in names if (data := find(root, f"{where}/{name}").data) is not None
    }


def _peak(delta: Delta, spare: Mapping[str, bytes]) -> int:
    """Bytes that must be free for the largest step: new files stand beside the old ones until
    these are let go.
    """
    if not delta.files and not delta.directories and not delta.not_read:
        return 0
    modules = sum(_sizes(each.module_files or {}) for each in delta.directories)
    files = max(_sizes(delta.files), _sizes(spare))
    return files + modules + _sizes(delta.not_read) + MARGIN


def _sizes(files: Mapping[str, bytes]) -> int:
    return sum(-(-len(data) // BLOCK) * BLOCK for data in files.values())
