# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting what was built where GRUB reads it, in an order that leaves the guest bootable after
every single step.

A self-contained second stage needs nothing of /boot/grub/<target>, so it goes first and the module
directory follows. One that reads modules from there must change together with them: a
self-contained one stands in until the directory has been exchanged.
"""

import stat
from collections.abc import Mapping, Sequence
from functools import partial

from guest_hooks.formats import pvh_bridge
from guest_hooks.machine import durable, grub_tools, receipts, space, staging
from guest_hooks.machine.barrier import barrier, is_late
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Change, Reason, TargetStatus, Why
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.survey.evidence import find, installed, is_from_package, sha256
from guest_hooks.survey.plan import FileKind
from guest_hooks.sync.build import Built
from guest_hooks.targets import BOOT_XEN, TARGETS

UNWANTED = SecondStageProblem.BRIDGE_UNWANTED
NEW_SUFFIX = ".xen-guest-bootloader-new"
MADE_FILES = (".img", "core.elf", "load.cfg")
"""What it makes there."""
BLOCK = 4096
MARGIN = 256 * 1024
"""Bytes beyond the files themselves: directory blocks, extents, a grub.cfg. BLOCK is the usual
one of /boot.
"""


def sweep(root: Root) -> None:
    """Remove what killed runs left; the caller holds the lock."""
    staging.sweep()
    for directory in (BOOT_XEN, grub_tools.GRUB_DIR, receipts.STATE_DIR, receipts.PREVIOUS_DIR):
        durable.sweep(root, directory)
    for new in (target.grub_dir + NEW_SUFFIX for target in TARGETS.values()):
        # It may be the directory that GRUB still finds by the proper name.
        if root.lstat(new) is not None and not is_late(barrier(root, new)):
            durable.remove_tree(root, new)


def install(
    root: Root,
    built: Sequence[Built],
    before: Sequence[TargetStatus],
    settling: Settling,
    *,
    reads_modules: bool = False,
    stand_ins: Sequence[Built] = (),
) -> list[Change]:
    """Install all of `built`, whose verdicts so far are `before`; what changed. GRUB sees the last
    of it when `settling` ends.

    `reads_modules`: these second stages are not self-contained. `stand_ins` are self-contained ones
    to boot from while a module directory changes; without one, nothing may be there that boots from
    it. Raises `LackingError` where there is not room for all of it at once; then nothing was
    touched.
    """
    files = _differing(root, built)
    odd = [each for each in built if directory_differs(root, each)]
    spare = {path: data for each in stand_ins for path, data in each.files.items()}
    space.require(root, BOOT_XEN, _peak(files, spare, odd))
    changed = changes(root, built, before)
    if reads_modules:
        _put(root, spare, settling)
        _exchange(root, odd, settling, whole=True)
        again = {path: data for each in built for path, data in each.files.items() if path in spare}
        _put(root, files | again, settling)
    else:
        _put(root, files, settling)
        _exchange(root, odd, settling, whole=False)
    durable.remove_all(root, _unwanted(root, built), settling=settling)
    return changed


def install_files(
    root: Root, built: Sequence[Built], before: Sequence[TargetStatus], settling: Settling
) -> list[Change]:
    """As `install`, for second stages that bring no module directory with them."""
    files = _differing(root, built)
    space.require(root, BOOT_XEN, _peak(files, {}, ()))
    changed = _file_changes(root, files, built, before)
    _put(root, files, settling)
    return changed


def changes(root: Root, built: Sequence[Built], before: Sequence[TargetStatus]) -> list[Change]:
    """What `install` changes; a module directory is told by its core image."""
    rows = _file_changes(root, _differing(root, built), built, before)
    for each, status in zip(built, before, strict=True):
        if directory_differs(root, each):
            path = f"{each.plan.target.grub_dir}/core.elf"
            rows.append(
                Change(
                    path=path,
                    before=find(root, path).sha256,
                    after=sha256(each.core),
                    why=reasons(status),
                )
            )
    rows += [
        Change(path=path, before=find(root, path).sha256, after="", why=(UNWANTED,))
        for path in _unwanted(root, built)
    ]
    return rows


def reasons(status: TargetStatus) -> tuple[Why, ...]:
    """Why a target is written: the codes of its problems, each once."""
    return tuple(dict.fromkeys(problem.code for problem in status.problems)) or (Reason.FORCED,)


def directory_differs(root: Root, built: Built) -> bool:
    """Whether /boot/grub/<target> holds anything else than what was built for it."""
    where = built.plan.target.grub_dir
    made = built.module_files
    return root.files(where, lambda name: is_from_package(name) or name in made) != dict(made)


def _unwanted(root: Root, built: Sequence[Built]) -> tuple[str, ...]:
    """The bridges that stand where the configuration wants none."""
    paths = [
        file.path for each in built for file in each.plan.files if file.kind is FileKind.UNWANTED
    ]
    return tuple(
        path
        for path in paths
        if (data := installed(root, path).data) is not None and pvh_bridge.is_bridge(data)
    )


def _differing(root: Root, built: Sequence[Built]) -> dict[str, bytes]:
    return {
        path: data
        for each in built
        for path, data in each.files.items()
        if installed(root, path).data != data
    }


def _put(root: Root, files: Mapping[str, bytes], settling: Settling) -> None:
    """Replace files that all lie in /boot/xen; a directory with somebody's files in the way is
    given another name.
    """
    if not files:
        return
    durable.make_dirs(root, BOOT_XEN)
    for path in files:
        status = root.lstat(path)
        if status is not None and stat.S_ISDIR(status.st_mode) and root.names(path):
            durable.move_aside(root, path)
    durable.replace_all(root, files, settling=settling)


def _exchange(root: Root, built: Sequence[Built], settling: Settling, *, whole: bool) -> None:
    """Exchange module directories; with `whole` GRUB must find either the whole old or the
    whole new one at any instant.
    """
    for each in built:
        where = each.plan.target.grub_dir
        new = where + NEW_SUFFIX
        durable.fill_dir(root, new, _kept(root, where) | dict(each.module_files))
        if whole:
            settling.before_names(where)
        durable.exchange_dir(root, new, where)
        settling.after_names(where, [partial(durable.remove_tree, root, new)])


def _kept(root: Root, where: str) -> dict[str, bytes]:
    """What grub-install would leave alone in a module directory: all but what it copies and
    makes there itself.
    """
    names = (
        name
        for name in root.names(where)
        if not is_from_package(name) and not name.endswith(MADE_FILES)
    )
    return {
        name: data for name in names if (data := find(root, f"{where}/{name}").data) is not None
    }


def _peak(files: Mapping[str, bytes], spare: Mapping[str, bytes], odd: Sequence[Built]) -> int:
    """Bytes that must be free for the largest step: new files stand beside the old ones until
    these are let go.
    """
    modules = sum(_sizes(each.module_files) for each in odd)
    return max(_sizes(files), _sizes(spare)) + modules + MARGIN if files or odd else 0


def _sizes(files: Mapping[str, bytes]) -> int:
    return sum(-(-len(data) // BLOCK) * BLOCK for data in files.values())


def _file_changes(
    root: Root, files: Mapping[str, bytes], built: Sequence[Built], before: Sequence[TargetStatus]
) -> list[Change]:
    """What replacing `files` changes, with the problems that led to it."""
    return [
        Change(
            path=path,
            before=installed(root, path).sha256,
            after=sha256(files[path]),
            why=reasons(status),
        )
        for each, status in zip(built, before, strict=True)
        for path in each.files
        if path in files
    ]
