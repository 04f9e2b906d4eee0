# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of grub.cfg, held against those that are there."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_cfg
from guest_hooks.formats.grub_menu import Boot
from guest_hooks.machine.root import Root
from guest_hooks.model import (
    GrubCfgStatus,
    KernelStatus,
    Mode,
    Problem,
    State,
)
from guest_hooks.paths import BOOT, GRUB_CFG
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.records import replace
from guest_hooks.survey import kernel_images, pv_kernels
from guest_hooks.targets import of_boot

PROGRAM = "/usr/bin/xen-guest-bootloader"
"""Without it the package was removed, and the script is a conffile that stayed behind."""
LINUX_SCRIPT = "/etc/grub.d/10_linux"
Say = Callable[[MenuProblem, str], Problem]
"""A problem with the menu, with the command that makes it again."""


def unlisted(root: Root, text: str, problem: Say) -> Iterator[Problem]:
    """The kernels that the menu lacks; one whose installation is not complete is not missed,
    and told of.
    """
    named = _named(text)
    if named is None:
        return
    paths = [path for path in kernel_images.paths(root) if os.path.basename(path) not in named]
    lacking = []
    for path in (path for path in paths if not path.endswith(kernel_images.SIGNED)):
        found = kernel_images.incomplete(root, path)
        if found is None:
            lacking.append(os.path.basename(path))
            continue
        yield Problem.of(
            MenuProblem.KERNEL_INCOMPLETE,
            f"{path} is left out of the menu, for it can't be booted yet: {found.why}",
            step=found.hint,
        )
    if lacking:
        message = f"{GRUB_CFG} does not name {', '.join(sorted(lacking))}"
        yield problem(MenuProblem.KERNEL_NOT_LISTED, message)


def gone(root: Root, text: str) -> Iterator[tuple[MenuProblem, str]]:
    """The kernels that the menu has and the guest has not; an admin's own entries are no
    concern of ours.
    """
    lost = {
        name
        for name in _named(text) or ()
        if not any(root.exists(f"{top}/{name}") for top in kernel_images.directories())
    }
    if lost:
        yield (
            MenuProblem.KERNEL_GONE,
            f"{GRUB_CFG} names what is no longer in {BOOT}: {', '.join(sorted(lost))}",
        )


def wrong_initrds(root: Root, text: str, problem: Say) -> Iterator[Problem]:
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
        if lost and not there and kernel_images.incomplete(root, path) is None:
            gone.append(os.path.basename(path))
    for code, found, words in (
        (MenuProblem.INITRD_NOT_LISTED, lacking, "starts without the initrd that is there for it:"),
        (MenuProblem.INITRD_GONE, gone, "names an initrd that is gone for"),
    ):
        if found:
            yield problem(code, f"{GRUB_CFG} {words} {', '.join(sorted(found))}")


def _named(text: str) -> set[str] | None:
    """The names of the kernels in the menu that 10_linux made; None where there is no such menu."""
    section = grub_cfg.section(text, LINUX_SCRIPT)
    return (
        None if section is None else {os.path.basename(name) for name in grub_cfg.kernels(section)}
    )


@lru_cache(maxsize=4)
def _boots(section: str, *, as_pv: bool = False) -> tuple[Boot, ...]:
    """What the entries start; `as_pv`: in a PV boot that finds every file. One run looks at one
    menu again and again.
    """
    variables = {"grub_platform": of_boot(Mode.PV, ()).platform} if as_pv else {}
    try:
        menu = grub_cfg.read(section, variables=variables, exists=lambda _: True)
        boots = [entry.boot for entry in menu.all()]
    except FormatError:
        return ()
    return tuple(boot for boot in boots if boot is not None and boot.command.startswith("linux"))


def with_copies(root: Root, found: GrubCfgStatus, kernels: Sequence[KernelStatus]) -> GrubCfgStatus:
    """`found`, stale where a PV boot by the menu that 10_linux made would start one of `kernels`
    beside its copy.
    """
    if not kernels or not prints(root, pv_kernels.SCRIPT):
        return found
    if found.state not in (State.CURRENT, State.STALE):
        return found
    names = beside_copies(root, kernels)
    if not names:
        return found
    what = f"{GRUB_CFG} has a PV boot start {', '.join(sorted(names))}, which GRUB can't unpack"
    problem = Problem.of(MenuProblem.PV_KERNEL_NOT_LISTED, what)
    return replace(found, state=State.STALE, problems=(*found.problems, problem))


def beside_copies(root: Root, kernels: Sequence[KernelStatus]) -> tuple[str, ...]:
    """The names of those of `kernels` that a PV boot by the menu starts beside their copies."""
    section = grub_cfg.section(content(root).decode(errors="replace"), LINUX_SCRIPT) or ""
    started = {os.path.basename(boot.kernel) for boot in _boots(section, as_pv=True)}
    names = (os.path.basename(kernel.path) for kernel in kernels)
    return tuple(name for name in names if name in started)


def prints(root: Root, script: str) -> bool:
    """Whether grub-mkconfig runs this script of the package's; an admin may have taken its x bits
    away.
    """
    found = root.stat(script)
    return bool(found is not None and found.st_mode & 0o111 and root.exists(PROGRAM))


def content(root: Root) -> bytes:
    """The grub.cfg there is; empty where it can't be read."""
    return root.content(GRUB_CFG) or b""
