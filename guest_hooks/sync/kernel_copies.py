# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the copies of kernels for PV, and removing those that nothing starts any longer.

What fails here costs no second stage and no menu: the guest is as bootable as it was.
"""

import os
import shlex
from collections.abc import Sequence

from guest_hooks.errors import FormatError, GuestHooksError, LackingError, NotRepairedError
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import dpkg, durable, space
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import (
    BootFilesystem,
    Change,
    KernelStatus,
    Mode,
    Problem,
    Severity,
)
from guest_hooks.paths import BOOT_XEN
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.row import State
from guest_hooks.sizes import MAX_IMAGE, size
from guest_hooks.survey import pv_kernels
from guest_hooks.survey.status import Survey
from guest_hooks.sync.menus import Step
from guest_hooks.sync.result import Done, Failure

MARGIN = 1 << 20
"""Bytes left free beyond a copy, for the menu."""
SECOND_STAGES = 16 << 20
"""The same where a second stage is to be made, too: three of them with their modules."""


def lacking(found: Survey) -> tuple[KernelStatus, ...]:
    """The kernels whose copies are to be made."""
    return tuple(
        kernel
        for kernel in found.status.kernels
        if kernel.copy is not None and kernel.copy.state is not State.CURRENT
    )


def foretold(root: Root, found: Survey, named: Sequence[str]) -> tuple[Change, ...]:
    """What `renew` and `tidy` would change, where nothing is forced."""
    made = tuple(
        Change(
            path=kernel.copy.path, before=_sum(root, kernel.copy.path), after="", why=_why(kernel)
        )
        for kernel in lacking(found)
        if kernel.copy
    )
    gone = () if named else _unwanted(root, found)
    kept = _started(root, found, gone)
    return made + tuple(_removal(root, path) for path in gone if path not in kept)


def renew(root: Root, found: Survey, settling: Settling, *, step: Step) -> Done:
    """Make each copy that is missing, damaged or of another kernel: first the one that starts by
    default, then those of newer kernels; what there is no room for is said. GRUB sees them when
    `settling` ends.
    """
    due = lacking(found)
    if not due:
        return Done()
    default = pv_kernels.version_of(_default(root, found.status.boot))
    ordered = sorted(due, key=lambda kernel: kernel.version != default)
    changes: list[Change] = []
    failures: list[Failure] = []
    for kernel in ordered:
        copy = pv_kernels.copy_of(kernel.path)
        try:
            with step(f"Unpacking {kernel.path} for PV"):
                data = _made(root, kernel)
                changes += _make_room(root, found, kernel, len(data), default)
                before = _sum(root, copy)
                durable.make_dirs(root, BOOT_XEN)
                durable.replace_all(root, {copy: data}, settling=settling)
        except GuestHooksError as error:
            required = any(each.severity is Severity.ERROR for each in kernel.problems)
            failures.append(Failure(name=copy, required=required, error=_explained(kernel, error)))
        else:
            changes.append(Change(path=copy, before=before, after=sha256(data), why=_why(kernel)))
    return Done(changes=tuple(changes), failures=tuple(failures))


def tidy(root: Root, found: Survey, named: Sequence[str], *, is_forced: bool) -> Done:
    """Remove the copies that are not wanted, but for one that this PV guest boots by; where only
    some targets were `named`, it is not known which are.
    """
    paths = () if named else _unwanted(root, found)
    kept = () if is_forced else _started(root, found, paths)
    paths = tuple(path for path in paths if path not in kept)
    unsure = tuple(
        Problem.of(
            PvKernelProblem.KEPT,
            f"{path} is not wanted any longer, and is kept: this PV guest boots by it",
        )
        for path in kept
    )
    changes = tuple(_removal(root, path) for path in paths)
    try:
        unsure += durable.remove_all(root, paths)
    except GuestHooksError as error:
        failures = (Failure(name=paths[0], required=False, error=error),)
        return Done(unsure=unsure, failures=failures)
    return Done(changes=changes, unsure=unsure)


def _started(root: Root, found: Survey, paths: Sequence[str]) -> tuple[str, ...]:
    """Those of `paths` by which this guest boots where it is a PV guest."""
    if not paths or found.status.guest.mode is not Mode.PV:
        return ()
    default = _default(root, found.status.boot)
    return tuple(path for path in paths if os.path.basename(path) == default)


def _made(root: Root, kernel: KernelStatus) -> bytes:
    from guest_hooks.formats import pv_kernel  # noqa: PLC0415 - with the decompressors

    try:
        return pv_kernel.make(root.read(kernel.path, limit=MAX_IMAGE))
    except (OSError, NotRegularError) as error:
        packages = shlex.join(dpkg.kernel_packages(root, kernel.version))
        raise NotRepairedError(
            f"{kernel.path} can't be read: {error}",
            hint=f"install it again: apt install --reinstall {packages}",
        ) from error


def _make_room(
    root: Root, found: Survey, kernel: KernelStatus, length: int, default: str
) -> list[Change]:
    """See that `length` bytes fit; copies of older kernels make room where that helps, but for the
    one that the present menu starts. Raises `LackingError`; then nothing was removed.
    """
    is_all_there = all(target.state is State.CURRENT for target in found.status.targets)
    need = length + (MARGIN if is_all_there else SECOND_STAGES)
    have = space.free(root, BOOT_XEN if root.exists(BOOT_XEN) else "/boot")
    if have >= need:
        return []
    later = found.status.kernels[found.status.kernels.index(kernel) + 1 :]
    if kernel.version == default:
        later = tuple(each for each in found.status.kernels if each is not kernel)
    spare = [
        each.copy.path
        for each in reversed(later)
        if each.copy and each.version != default and root.exists(each.copy.path)
    ]
    paths = [*_unwanted(root, found), *spare]
    gained = 0
    chosen = []
    for path in (path for path in paths if pv_kernels.version_of(path) != default):
        status = root.stat(path)
        gained += status.st_size if status else 0
        chosen.append(path)
        if have + gained >= need:
            changes = [_removal(root, path) for path in chosen]
            durable.remove_all(root, chosen)
            return changes
    raise LackingError(
        f"{root.outside(BOOT_XEN)} has no room: it needs {size(need)}, and {size(have)} are free",
        hint="make room: remove kernels that are not needed: apt autoremove; look at: df /boot",
    )


def _unwanted(root: Root, found: Survey) -> tuple[str, ...]:
    keep = tuple(kernel.copy.path for kernel in found.status.kernels if kernel.copy)
    return pv_kernels.left_over(root, keep, Memory(root))


def _default(root: Root, boot: BootFilesystem | None) -> str:
    """The name of the file that a PV boot by the present menu starts, a kernel's or a copy's;
    empty if not known.
    """
    from guest_hooks.formats import grub_menu  # noqa: PLC0415 - few runs make or remove a copy
    from guest_hooks.preflight import facts  # noqa: PLC0415 - as above

    text = facts.menu_text(root)
    if boot is None or text is None:
        return ""
    try:
        menu = facts.menu(
            root, boot, text, Mode.PV, targets=[pv_kernels.TARGET], by_second_stage=True
        )
    except FormatError:
        return ""
    entry = grub_menu.default(menu).entry
    started = entry.boot.kernel if entry is not None and entry.boot is not None else ""
    return os.path.basename(started)


def _why(kernel: KernelStatus) -> tuple[PvKernelProblem, ...]:
    return tuple(each.code for each in kernel.problems if isinstance(each.code, PvKernelProblem))


def _removal(root: Root, path: str) -> Change:
    return Change(path=path, before=_sum(root, path), after="", why=(PvKernelProblem.UNWANTED,))


def _sum(root: Root, path: str) -> str:
    data = root.content(path, limit=MAX_IMAGE)
    return "" if data is None else sha256(data)


def _explained(kernel: KernelStatus, error: GuestHooksError) -> GuestHooksError:
    """`error` with the kernel's name in front, of the same exit code."""
    message = f"no copy of {kernel.path} for PV boots was made: {error.message}"
    kind = LackingError if isinstance(error, LackingError) else NotRepairedError
    return kind(message, hint=error.hint)
