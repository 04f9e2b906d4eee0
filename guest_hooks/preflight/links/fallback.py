# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GRUB goes on to the next entry of `fallback` where one fails. Pure.

Source: GRUB grub-core/normal/menu.c (grub_menu_execute_with_fallback): it does whenever an entry
comes back to it.
"""

from collections.abc import Sequence

from guest_hooks.formats.grub_menu import Choice
from guest_hooks.model import Mode, Severity
from guest_hooks.preflight.result import Finding
from guest_hooks.problems.kernels import InitrdProblem, KernelProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.records import replace

_BY_GRUB = frozenset(
    {
        MenuProblem.COMMAND_MISSING,
        MenuProblem.STARTS_NOTHING,
        MenuProblem.DISK_MISSING,
        MenuProblem.UNSIGNED,
        InitrdProblem.MISSING,
        *(
            set(KernelProblem)
            - {KernelProblem.NO_PV, KernelProblem.NO_PVH, KernelProblem.MODULES_MISSING}
        ),
    }
)
"""What GRUB refuses, or does not find; all else ends in the kernel or waits for somebody."""


def comes_back(found: Sequence[Finding], choice: Choice, mode: Mode) -> bool:
    """Whether the boot of `choice` ends, and each time in GRUB's hands."""
    ends = [each for each in found if each.stops and each.severity is Severity.ERROR]
    does = choice.entry.does if choice.entry else ""
    return bool(ends) and not does and any(_is_grubs(each, mode) for each in ends)


def _is_grubs(found: Finding, mode: Mode) -> bool:
    if found.code is KernelProblem.DAMAGED:
        return mode is Mode.PV  # else it is the kernel that unpacks itself, and halts
    return found.code in _BY_GRUB or found.is_refused_by_grub


def passed(found: Sequence[Finding]) -> list[Finding]:
    """The findings of an entry that GRUB passes over: the boot goes on."""
    return [replace(each, stops=False) for each in found]


def joined(passed_over: Sequence[Finding], new: Sequence[Finding]) -> list[Finding]:
    """Findings of an entry passed over and of the next, each once, as the graver of the two."""
    errors = {(each.code, each.thing) for each in new if each.severity is Severity.ERROR}
    kept = [each for each in passed_over if (each.code, each.thing) not in errors]
    known = {(each.code, each.thing) for each in kept}
    return [*kept, *(each for each in new if (each.code, each.thing) not in known)]
