# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with grub.cfg and grubenv as files. Pure."""

from collections.abc import Sequence

from guest_hooks.model import GrubCfgStatus, MenuFault, State
from guest_hooks.paths import GRUBENV
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import NextStep
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.records import replace

RESCUE = "grub>"
"""What a GRUB without a menu shows."""


def missing(path: str, step: NextStep, why: str = "") -> Finding:
    """That there is none, or none for GRUB, and `why`."""
    found = Finding.of(
        MenuProblem.MISSING,
        link=Link.GRUB_CFG,
        thing=path,
        message=why or f"{path} is missing",
        menu="",
        by=step,
    )
    return replace(found, hint=step.words)


def refused(menu: GrubCfgStatus | None) -> tuple[Finding, ...]:
    """Why GRUB refuses it, or that it is cut off, as status has seen; empty where it is whole."""
    if menu is None or menu.state is not State.INVALID:
        return ()
    rows = []
    for problem in menu.problems:
        found = Finding.of(
            problem.code, link=Link.GRUB_CFG, thing=menu.path, message=problem.message, menu=""
        )
        console = found.console if menu.fault is MenuFault.REFUSED else RESCUE
        rows.append(replace(found, console=console, hint=problem.hint))
    return tuple(rows)


def passed(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """What is wrong with the text where GRUB says what it refuses, and goes on with the entries
    that it has read (grub-core/normal/main.c: read_config_file).
    """
    console = MenuProblem.INVALID.row.console
    return tuple(replace(each, console=console, stops=False) for each in found)


def environment(fault: str) -> tuple[Finding, ...]:
    """That grubenv has this fault; empty for none."""
    if not fault:
        return ()
    return (
        Finding.of(
            MenuProblem.GRUBENV,
            link=Link.GRUB_CFG,
            thing=GRUBENV,
            message=f"{GRUBENV}: {fault}; GRUB goes on without its saved entry",
            path=GRUBENV,
        ),
    )
