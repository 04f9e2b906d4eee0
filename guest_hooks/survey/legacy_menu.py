# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB Legacy's menu.lst, for hosts that start pvgrub-legacy: entries that start the second
stages (`legacy_menu = true`).
"""

from guest_hooks.config import Config
from guest_hooks.machine import legacy_drives
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.model import BootFilesystem, Mode, Problem, Severity
from guest_hooks.paths import MENU_LST
from guest_hooks.problems.other_hosts import LegacyProblem
from guest_hooks.program import SYNC
from guest_hooks.survey.plan import Plan

MARK = "# Made by xen-guest-bootloader: changes are lost while legacy_menu = true."
CODE = LegacyProblem.MENU


def problem(
    root: Root, config: Config, boot: BootFilesystem, plans: tuple[Plan, ...]
) -> Problem | None:
    """What keeps a pvgrub-legacy host from finding the second stage by menu.lst; None where
    nothing does, or it is not wanted.
    """
    if not config.legacy_menu or not _paths(plans):
        return None
    wanted = text(root, boot, plans)
    if wanted is None:
        message = f"GRUB Legacy has no name for {boot.device}: {MENU_LST} can't be made"
        return Problem.of(CODE, message, severity=Severity.WARNING, step="set legacy_menu = false")
    there = content(root)
    if there == wanted:
        return None
    if there is not None and not there.startswith(MARK):
        hint = f"move it away, or add to it: kernel {_names(root, boot, plans)[0]}"
        return Problem.of(
            CODE, f"{MENU_LST} is not ours and is left alone", severity=Severity.WARNING, step=hint
        )
    return Problem.of(
        CODE, f"{MENU_LST} does not start the second stage", step=f"make it with: {SYNC}"
    )


def text(root: Root, boot: BootFilesystem, plans: tuple[Plan, ...]) -> str | None:
    """The menu that starts the second stages; None where GRUB Legacy has no name for the disk."""
    names = _names(root, boot, plans)
    if not names:
        return None
    entries = "".join(
        f"\ntitle Second stage {name.rpartition('/')[2]}\nkernel {name}\n" for name in names
    )
    return f"{MARK}\ndefault 0\ntimeout 1\n{entries}"


def _names(root: Root, boot: BootFilesystem, plans: tuple[Plan, ...]) -> tuple[str, ...]:
    """The second stages as GRUB Legacy names them, `(hd0,0)/boot/xen/pvboot-x86_64.elf`; empty
    for a device it has no name for.
    """
    drive = legacy_drives.drive(root, boot)
    if not drive:
        return ()
    return tuple(
        f"{drive}{boot.xen_place.path}/{path.rpartition('/')[2]}" for path in _paths(plans)
    )


def _paths(plans: tuple[Plan, ...]) -> tuple[str, ...]:
    return tuple(plan.files[0].path for plan in plans if plan.target.mode is Mode.PV)


def content(root: Root) -> str | None:
    """The menu there is; None where there is none, empty where it can't be read."""
    try:
        return root.read(MENU_LST).decode(errors="replace")
    except FileNotFoundError:
        return None
    except (OSError, NotRegularError):
        return ""
