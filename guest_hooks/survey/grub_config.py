# SPDX-License-Identifier: GPL-3.0-or-later
"""grub.cfg: whether the menu is whole and names the kernels there are, and making it anew
without ever leaving a broken one.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from guest_hooks.errors import FormatError, KeptError, NotRepairedError
from guest_hooks.formats import disk_names, grub_cfg
from guest_hooks.formats.grub_menu import Boot
from guest_hooks.machine import disks, durable, grub_tools, mkconfig
from guest_hooks.machine.failures import told
from guest_hooks.machine.receipts import Kept
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run, run
from guest_hooks.machine.settling import Settling
from guest_hooks.model import (
    Change,
    GrubCfgStatus,
    KernelStatus,
    MenuFault,
    Problem,
    Severity,
    State,
    Why,
)
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.row import Actor
from guest_hooks.program import SYNC
from guest_hooks.survey import kernel_images, pv_kernels
from guest_hooks.targets import HANDOVER

PATH = "/boot/grub/grub.cfg"
BOOT = "/boot"
PROGRAM = "/usr/bin/xen-guest-bootloader"
"""Without it the script prints nothing: then the package was removed, and the script is a
conffile that stayed behind.
"""
LINUX_SCRIPT = "/etc/grub.d/10_linux"
FROM_OUTSIDE = (
    "grub-mkconfig lists no kernel where / is on /dev/loop0 to /dev/loop9; leave the chroot and"
    " work on the image from outside: xen-guest-bootloader sync --root DIR --target TARGET"
)

Judge = Callable[[bytes], Sequence[str]]
"""What would end the boot by a grub.cfg of these bytes and does not end it by the one there is;
empty: it may be replaced.
"""
KEPT = MenuProblem.KEPT
Say = Callable[[MenuProblem, str], Problem]
"""A problem with the menu, with the command that makes it again."""


def status(
    root: Root,
    *,
    fs_uuid: str = "",
    root_uuid: str = "",
    command: str = SYNC,
    kept: Kept | None = None,
    run: Run = run,
) -> GrubCfgStatus:
    """The verdict for grub.cfg: missing, invalid (empty, cut off, refused by GRUB's parser),
    stale, current.

    It is stale where it lacks a kernel whose installation is complete, or the initrd of one; names
    what is gone; looks for another file system than /boot's, `fs_uuid`, or gives Linux another root
    than `root_uuid`, each where it is known. `command` makes it anew. `kept` is why a sync did not
    replace it, if one did not.
    """
    try:
        data = root.read(PATH)
    except FileNotFoundError:
        return _verdict(MenuProblem.MISSING, f"{PATH} is missing", command)
    except PermissionError:
        return _verdict(MenuProblem.NOT_KNOWN, f"{PATH} is not for this user to read", command)
    except (OSError, NotRegularError) as error:
        return _verdict(MenuProblem.UNREADABLE, f"{PATH} can't be read: {error}", command)
    fault = _fault(root, data, run=run)
    if fault:
        found = _verdict(MenuProblem.INVALID, f"{PATH}: {fault}", command)
        return replace(found, fault=_kind_of_fault(data))
    text = data.decode(errors="replace")
    outside = why_unlisted(root)

    def problem(code: MenuProblem, message: str) -> Problem:
        found = _problem(code, message, command)
        return replace(found, hint=outside) if outside else found

    stale = tuple(
        problem(code, message)
        for code, message in (
            *_of_kernels_gone(root, text),
            *(list(_of_another_disk(text, fs_uuid)) or _of_another_root(text, root_uuid)),
            *_of_a_builder(text),
            *_without_handover(root, text),
        )
    )
    problems = (
        *_unlisted(root, text, problem, run=run),
        *_of_initrds(root, text, problem, run=run),
        *stale,
    )
    is_stale = any(problem.severity is Severity.ERROR for problem in problems)
    if is_stale and kept is not None and kept.sha256 == _sha256(data):
        problems += (Problem.of(KEPT, kept.message, step=kept.hint),)
    return GrubCfgStatus(
        path=PATH, state=State.STALE if is_stale else State.CURRENT, problems=problems
    )


def reasons(status: GrubCfgStatus) -> tuple[Why, ...]:
    """The codes of what makes grub.cfg stale, each once; empty where it is current."""
    errors = (problem.code for problem in status.problems if problem.severity is Severity.ERROR)
    return tuple(dict.fromkeys(code for code in errors if code != KEPT))


def refresh(
    root: Root,
    why: tuple[Why, ...],
    settling: Settling,
    *,
    judge: Judge = lambda _made: (),
    run: Run = run,
) -> list[Change]:
    """Replace grub.cfg by what update-grub would write, unless that is the same.

    Returns what changed; GRUB sees it when `settling` ends. Raises as `successor`; then the old one
    stays.
    """
    found = successor(root, why, judge=judge, run=run)
    if found is None:
        return []
    made, change = found
    with told(root, PATH, "replaced"):
        where = root.destination(PATH)
    durable.replace_all(
        root, {where: made.data}, mode=made.mode, owner=made.owner, settling=settling
    )
    return [change]


def successor(
    root: Root, why: tuple[Why, ...], *, judge: Judge, run: Run = run
) -> tuple[mkconfig.Made, Change] | None:
    """The grub.cfg that would replace the one there is, checked, and what that changes; None where
    grub-mkconfig makes the same again.

    Raises `NotRepairedError` where what grub-mkconfig made is empty, cut off or refused by GRUB's
    parser, `KeptError` where `judge` has something against it.
    """
    made = mkconfig.make(root, PATH, run=run)
    fault = _fault(root, made.data, run=run)
    if fault:
        raise NotRepairedError(
            f"grub-mkconfig made a grub.cfg that can't be right ({fault}); the old one was kept",
            hint="look at: grub-mkconfig",
        )
    before = _read(root)
    if before == made.data:
        return None
    against = judge(made.data)
    if against:
        raise KeptError(
            f"{PATH} was kept: by the one that grub-mkconfig makes now this guest would not boot:"
            f" {'; '.join(against)}",
            path=PATH,
            before=_sha256(before),
            made=_sha256(made.data),
            hint=f"repair that; or use the new one all the same: {SYNC} --force",
        )
    return made, Change(path=PATH, before=_sha256(before), after=_sha256(made.data), why=why)


def _unlisted(root: Root, text: str, problem: Say, *, run: Run) -> Iterator[Problem]:
    """The kernels that the menu lacks; one whose installation is not complete is not missed,
    and told of.
    """
    named = _named(text)
    if named is None:
        return
    paths = [path for path in kernel_images.paths(root) if os.path.basename(path) not in named]
    lacking = []
    for path in (path for path in paths if not path.endswith(kernel_images.SIGNED)):
        found = kernel_images.incomplete(root, path, run=run)
        if found is None:
            lacking.append(os.path.basename(path))
            continue
        yield Problem.of(
            MenuProblem.KERNEL_INCOMPLETE,
            f"{path} is left out of the menu, for it can't be booted yet: {found.why}",
            step=found.hint,
        )
    if lacking:
        message = f"{PATH} does not name {', '.join(sorted(lacking))}"
        yield problem(MenuProblem.KERNEL_NOT_LISTED, message)


def _of_kernels_gone(root: Root, text: str) -> Iterator[tuple[MenuProblem, str]]:
    """The kernels that the menu has and the guest has not; an admin's own entries are no
    concern of ours.
    """
    directories = {directory for directory, _ in kernel_images.PATTERNS}
    gone = {
        name
        for name in _named(text) or ()
        if not any(root.exists(f"{top}/{name}") for top in directories)
    }
    if gone:
        yield (
            MenuProblem.KERNEL_GONE,
            f"{PATH} names what is no longer in {BOOT}: {', '.join(sorted(gone))}",
        )


def _of_initrds(root: Root, text: str, problem: Say, *, run: Run) -> Iterator[Problem]:
    """The entries without the initrd that is there for their kernel, and those with one that is
    gone and not needed.
    """
    paths = {os.path.basename(path): path for path in reversed(kernel_images.paths(root))}
    given: dict[str, set[frozenset[str]]] = {}
    for boot in _boots(grub_cfg.section(text, LINUX_SCRIPT) or ""):
        if path := paths.get(os.path.basename(boot.kernel)):
            given.setdefault(path, set()).add(frozenset(map(os.path.basename, boot.initrds)))
    lacking, gone = [], []
    for path, rows in given.items():
        there = kernel_images.initrds(root, path)
        names = {os.path.basename(initrd) for initrd in there}
        if there and any(names.isdisjoint(row) for row in rows):
            lacking += [os.path.basename(path)] if kernel_images.is_whole(root, there[0]) else []
        lost = [
            name
            for row in rows
            for name in row
            if not root.exists(os.path.join(os.path.dirname(path), name))
        ]
        if lost and not there and kernel_images.incomplete(root, path, run=run) is None:
            gone.append(os.path.basename(path))
    for code, found, words in (
        (MenuProblem.INITRD_NOT_LISTED, lacking, "starts without the initrd that is there for it:"),
        (MenuProblem.INITRD_GONE, gone, "names an initrd that is gone for"),
    ):
        if found:
            yield problem(code, f"{PATH} {words} {', '.join(sorted(found))}")


def _named(text: str) -> set[str] | None:
    """The names of the kernels in the menu that 10_linux made; None where there is no such menu."""
    section = grub_cfg.section(text, LINUX_SCRIPT)
    return (
        None if section is None else {os.path.basename(name) for name in grub_cfg.kernels(section)}
    )


def _boots(section: str, *, as_pv: bool = False) -> list[Boot]:
    """What the entries start; `as_pv`: in a PV boot that finds every file."""
    variables = {"grub_platform": "xen"} if as_pv else {}
    try:
        menu = grub_cfg.read(section, variables=variables, exists=lambda _: True)
        boots = [entry.boot for entry in menu.all()]
    except FormatError:
        return []
    return [boot for boot in boots if boot is not None and boot.command.startswith("linux")]


def _of_another_disk(text: str, fs_uuid: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu that 10_linux made looks for its kernels where they are; a clone's has
    the UUID of another disk.
    """
    sought = _in_linux_section(grub_cfg.sought_file_systems, text)
    if fs_uuid and sought and fs_uuid.lower() not in sought:
        yield (
            MenuProblem.ANOTHER_DISK,
            f"{PATH} looks for file system {', '.join(sorted(sought))}; /boot is on {fs_uuid}",
        )


def _of_another_root(text: str, root_uuid: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu that 10_linux made gives Linux the root that is there; beside an own
    /boot it has a UUID of its own.
    """
    given = _in_linux_section(grub_cfg.root_uuids, text)
    if root_uuid and given and root_uuid.lower() not in given:
        yield (
            MenuProblem.ANOTHER_ROOT,
            f"{PATH} starts Linux with root=UUID={', '.join(sorted(given))}; / is on {root_uuid}",
        )


def _of_a_builder(text: str) -> Iterator[tuple[MenuProblem, str]]:
    """Whether the menu names a disk of the machine that built this image as Linux's root."""
    given = grub_cfg.root_devices(grub_cfg.section(text, LINUX_SCRIPT) or "")
    names = ", ".join(name for name in given if disk_names.is_builders(name))
    if names:
        yield (
            MenuProblem.BUILDERS_DISK,
            f"{PATH} starts Linux with root={names}, a disk of the machine that built the image",
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
    prints = _prints(root, HANDOVER)
    if prints and _is_generated(text.encode()) and not grub_cfg.section(text, HANDOVER):
        yield (
            MenuProblem.NO_HANDOVER,
            f"{PATH} does not let a host's PVH GRUB hand over to this guest's second stage",
        )


def with_copies(root: Root, found: GrubCfgStatus, kernels: Sequence[KernelStatus]) -> GrubCfgStatus:
    """`found`, stale where a PV boot by the menu that 10_linux made would start one of `kernels`
    beside its copy.
    """
    if not kernels or not _prints(root, pv_kernels.SCRIPT):
        return found
    if found.state not in (State.CURRENT, State.STALE):
        return found
    names = beside_copies(root, kernels)
    if not names:
        return found
    what = f"{PATH} has a PV boot start {', '.join(sorted(names))}, which GRUB can't unpack"
    problem = Problem.of(MenuProblem.PV_KERNEL_NOT_LISTED, what)
    return replace(found, state=State.STALE, problems=(*found.problems, problem))


def beside_copies(root: Root, kernels: Sequence[KernelStatus]) -> tuple[str, ...]:
    """The names of those of `kernels` that a PV boot by the menu starts beside their copies."""
    section = grub_cfg.section(_read(root).decode(errors="replace"), LINUX_SCRIPT) or ""
    started = {os.path.basename(boot.kernel) for boot in _boots(section, as_pv=True)}
    names = (os.path.basename(kernel.path) for kernel in kernels)
    return tuple(name for name in names if name in started)


def _prints(root: Root, script: str) -> bool:
    """Whether grub-mkconfig runs this script of the package's; an admin may have taken its x bits
    away.
    """
    found = root.stat(script)
    return bool(found is not None and found.st_mode & 0o111 and root.exists(PROGRAM))


def _fault(root: Root, data: bytes, *, run: Run) -> str:
    """Why `data` can't be a whole grub.cfg, or an empty string."""
    if not data.strip():
        return "it is empty"
    if _is_generated(data):
        cut = grub_cfg.unclosed_section(data.decode(errors="replace"))
        if cut:
            return f"it is cut off: {cut} does not end"
    return grub_tools.script_error(root, data, run=run)


def _kind_of_fault(data: bytes) -> MenuFault:
    """What kind of fault it is that `_fault` says."""
    if not data.strip():
        return MenuFault.EMPTY
    is_cut_off = _is_generated(data) and grub_cfg.unclosed_section(data.decode(errors="replace"))
    return MenuFault.CUT_OFF if is_cut_off else MenuFault.REFUSED


def _is_generated(data: bytes) -> bool:
    return b"### BEGIN /etc/grub.d/" in data


def _read(root: Root) -> bytes:
    try:
        return root.read(PATH)
    except (OSError, NotRegularError):
        return b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


def _verdict(code: MenuProblem, message: str, command: str) -> GrubCfgStatus:
    return GrubCfgStatus(path=PATH, state=code.state, problems=(_problem(code, message, command),))


def _problem(code: MenuProblem, message: str, command: str) -> Problem:
    """A problem whose next step is `command`, which makes the menu."""
    actor = code.row.actor if command == SYNC else Actor.GUEST
    return replace(Problem.of(code, message, menu=command), actor=actor)
