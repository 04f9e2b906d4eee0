# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on grub.cfg: whether it is whole, of this disk, and names the kernels there are."""

import os
from collections.abc import Callable, Iterable, Iterator

from guest_hooks.formats import disk_names, grub_cfg
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import disks, grub_tools
from guest_hooks.machine.receipts import Kept
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import (
    GrubCfgStatus,
    MenuFault,
    Problem,
    Severity,
    State,
    Why,
)
from guest_hooks.paths import GRUB_CFG
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.row import Actor
from guest_hooks.program import SYNC
from guest_hooks.records import replace
from guest_hooks.survey import menu_kernels
from guest_hooks.survey.menu_kernels import LINUX_SCRIPT
from guest_hooks.targets import HANDOVER

FROM_OUTSIDE = (
    "grub-mkconfig lists no kernel where / is on /dev/loop0 to /dev/loop9; leave the chroot and"
    " work on the image from outside: xen-guest-bootloader sync --root DIR --target TARGET"
)

BY_HAND = f"correct {GRUB_CFG}, which is written by hand; or have another made: {SYNC} --adopt"
KEPT = MenuProblem.KEPT
Parser = Callable[[bytes], str]
"""Why GRUB's parser refuses a menu; empty where it does not."""


def status(  # noqa: PLR0913 - a verdict rests on all of these
    root: Root,
    *,
    fs_uuid: str = "",
    root_uuid: str = "",
    command: str = SYNC,
    kept: Kept | None = None,
    parser: Parser | None = None,
    run: Run = run,
) -> GrubCfgStatus:
    """The verdict for grub.cfg: missing, invalid (empty, cut off, refused by GRUB's parser),
    stale, current.

    It is stale where it lacks a kernel whose installation is complete, or the initrd of one; names
    what is gone; looks for another file system than /boot's, `fs_uuid`, or gives Linux another root
    than `root_uuid`, each where it is known. `command` makes it again. `kept` is why a sync did not
    replace it, if one did not.
    """
    try:
        data = root.read(GRUB_CFG)
    except FileNotFoundError:
        return _verdict(MenuProblem.MISSING, f"{GRUB_CFG} is missing", command)
    except PermissionError:
        return _verdict(MenuProblem.NOT_KNOWN, f"{GRUB_CFG} can't be read by this user", command)
    except (OSError, NotRegularError) as error:
        return _verdict(MenuProblem.UNREADABLE, f"{GRUB_CFG} can't be read: {error}", command)
    fault = fault_of(root, data, parser=parser, run=run)
    if fault:
        found = _verdict(MenuProblem.INVALID, f"{GRUB_CFG}: {fault}", command)
        found = replace(found, fault=_kind_of_fault(data))
        return _by_hand(found) if grub_cfg.is_by_hand(data) else found
    problems = _out_of_date(root, data.decode(errors="replace"), fs_uuid, root_uuid, command)
    is_stale = any(problem.severity is Severity.ERROR for problem in problems)
    if is_stale and kept is not None and kept.sha256 == sha256(data):
        problems = _after_a_try(problems, kept)
    return GrubCfgStatus(
        path=GRUB_CFG, state=State.STALE if is_stale else State.CURRENT, problems=problems
    )


def _after_a_try(problems: tuple[Problem, ...], kept: Kept) -> tuple[Problem, ...]:
    """`problems` without the step that has been tried: it made the same menu again, or one that
    was not taken.
    """
    is_same = kept.made_sha256 == kept.sha256
    step = kept.hint if is_same else ""
    known = (
        replace(each, hint=step) if each.severity is Severity.ERROR else each for each in problems
    )
    return (*known, *(() if is_same else (Problem.of(KEPT, kept.message, step=kept.hint),)))


def _out_of_date(
    root: Root, text: str, fs_uuid: str, root_uuid: str, command: str
) -> tuple[Problem, ...]:
    """What of the menu is not, or no longer, as the guest is."""
    outside = why_unlisted(root)

    def problem(code: MenuProblem, message: str) -> Problem:
        found = _problem(code, message, command)
        return replace(found, hint=outside) if outside else found

    return (
        *menu_kernels.unlisted(root, text, problem),
        *menu_kernels.wrong_initrds(root, text, problem),
        *(
            problem(code, message)
            for code, message in (
                *menu_kernels.gone(root, text),
                *(list(_of_another_disk(text, fs_uuid)) or _of_another_root(text, root_uuid)),
                *_of_a_builder(root, text),
                *_without_handover(root, text),
            )
        ),
    )


def reasons(status: GrubCfgStatus) -> tuple[Why, ...]:
    """The codes of what makes grub.cfg stale, each once; empty where it is current."""
    errors = (problem.code for problem in status.problems if problem.severity is Severity.ERROR)
    return tuple(dict.fromkeys(code for code in errors if code != KEPT))


def _by_hand(found: GrubCfgStatus) -> GrubCfgStatus:
    """That menu's verdict, with what its owner does about it."""
    problems = (replace(each, hint=BY_HAND, actor=Actor.HERE) for each in found.problems)
    return replace(found, problems=tuple(problems), is_by_hand=True)


def _of_another_disk(text: str, fs_uuid: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu that 10_linux made looks for its kernels where they are; a clone's has
    the UUID of another disk.
    """
    sought = _in_linux_section(grub_cfg.sought_file_systems, text)
    if fs_uuid and sought and fs_uuid.lower() not in sought:
        yield (
            MenuProblem.ANOTHER_DISK,
            f"{GRUB_CFG} looks for file system {', '.join(sorted(sought))}; /boot is on {fs_uuid}",
        )


def _of_another_root(text: str, root_uuid: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu that 10_linux made gives Linux the root that is there; beside an own
    /boot it has a UUID of its own.
    """
    given = _in_linux_section(grub_cfg.root_uuids, text)
    if root_uuid and given and root_uuid.lower() not in given:
        yield (
            MenuProblem.ANOTHER_ROOT,
            (
                f"{GRUB_CFG} starts Linux with root=UUID={', '.join(sorted(given))}; / is on"
                f" {root_uuid}"
            ),
        )


def _of_a_builder(root: Root, text: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu names a disk of the machine that built this image as Linux's root: one that
    no guest has, or one of virtio, SCSI, IDE or NVMe that this guest does not have.
    """
    given = grub_cfg.root_devices(grub_cfg.section(text, LINUX_SCRIPT) or "")
    names = ", ".join(
        name
        for name in given
        if disk_names.is_builders(name)
        or (disk_names.is_of_another_bus(name) and not (root.is_live and root.exists(name)))
    )
    if names:
        yield (
            MenuProblem.BUILDERS_DISK,
            (
                f"{GRUB_CFG} starts Linux with root={names}, a disk of the machine that built the"
                " image"
            ),
        )


def why_unlisted(root: Root) -> str:
    """Why grub-mkconfig lists no kernel here, and what to do; empty where nothing keeps it from
    that.

    A tree is worked on from outside, where the disk is shown to it as the guest's (`sandbox`).
    """
    device = os.path.realpath(disks.root_device(root)) if root.is_live else ""
    return FROM_OUTSIDE if disk_names.hides_kernels(device) else ""


def _in_linux_section(find: Callable[[str], Iterable[str]], text: str) -> set[str]:
    return {found.lower() for found in find(grub_cfg.section(text, LINUX_SCRIPT) or "")}


def _without_handover(root: Root, text: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether a generated menu lacks what the handover's script prints."""
    prints = menu_kernels.prints(root, HANDOVER)
    if prints and grub_cfg.is_generated(text.encode()) and not grub_cfg.section(text, HANDOVER):
        yield (
            MenuProblem.NO_HANDOVER,
            f"{GRUB_CFG} does not let a host's PVH GRUB hand over to this guest's second stage",
        )


def fault_of(root: Root, data: bytes, *, parser: Parser | None = None, run: Run = run) -> str:
    """Why `data` can't be a whole grub.cfg, or an empty string; by GRUB's own parser, or by one
    that knows what that has said before.
    """
    if not data.strip():
        return "it is empty"
    if grub_cfg.is_generated(data):
        cut = grub_cfg.unclosed_section(data.decode(errors="replace"))
        if cut:
            return f"it is cut off: {cut} does not end"
    return parser(data) if parser else grub_tools.script_error(root, data, run=run)


def _kind_of_fault(data: bytes) -> MenuFault:
    """What kind of fault it is that `_fault` says."""
    if not data.strip():
        return MenuFault.EMPTY
    is_cut_off = grub_cfg.is_generated(data) and grub_cfg.unclosed_section(
        data.decode(errors="replace")
    )
    return MenuFault.CUT_OFF if is_cut_off else MenuFault.REFUSED


def _verdict(code: MenuProblem, message: str, command: str) -> GrubCfgStatus:
    return GrubCfgStatus(
        path=GRUB_CFG, state=code.state, problems=(_problem(code, message, command),)
    )


def _problem(code: MenuProblem, message: str, command: str) -> Problem:
    """A problem whose next step is `command`, which makes the menu."""
    actor = code.row.actor if command == SYNC else Actor.GUEST
    return replace(Problem.of(code, message, menu=command), actor=actor)
