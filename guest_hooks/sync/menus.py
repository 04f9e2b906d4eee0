# SPDX-License-Identifier: GPL-3.0-or-later
"""The menus that a sync makes when they are out of date: grub.cfg, and menu.lst for
pvgrub-legacy.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Change, Status, Why
from guest_hooks.paths import GRUB_CFG, MENU_LST
from guest_hooks.records import dataclass
from guest_hooks.survey.status import Survey
from guest_hooks.sync import safeguard
from guest_hooks.sync.result import Done, Failure

Step = Callable[[str], AbstractContextManager[object]]
"""Told what is being done, for as long as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which menus are to be made: grub.cfg for the reasons given, if any, and menu.lst.

    `judged` is how the guest is by now, for grub.cfg to be judged by; None where any grub.cfg is to
    be taken.
    """

    grub_cfg: tuple[Why, ...] = ()
    judged: Status | None = None
    menu_lst: bool = False


def renew(root: Root, found: Survey, wanted: Wanted, settling: Settling, *, step: Step) -> Done:
    """Make those of the menus that are `wanted`; one that fails does not keep the other from
    being made. GRUB sees them when `settling` ends.
    """
    changes: list[Change] = []
    failures: list[Failure] = []
    judge = safeguard.judge(root, found.config, wanted.judged)

    def grub_cfg() -> Sequence[Change]:
        from guest_hooks.sync import menu_files  # noqa: PLC0415 - few runs make a menu

        with step("Making grub.cfg"):
            return menu_files.replace_grub_cfg(root, wanted.grub_cfg, settling, judge=judge)

    def menu_lst() -> Sequence[Change]:
        from guest_hooks.sync import menu_files  # noqa: PLC0415 - as above

        with step("Making menu.lst"):
            boot = found.status.boot
            return menu_files.replace_menu_lst(root, boot, found.plans, settling) if boot else ()

    for is_wanted, path, refresh in (
        (bool(wanted.grub_cfg), GRUB_CFG, grub_cfg),
        (wanted.menu_lst, MENU_LST, menu_lst),
    ):
        try:
            changes += refresh() if is_wanted else ()
        except GuestHooksError as error:
            failures.append(Failure(name=path, required=True, error=error))
    return Done(changes=tuple(changes), failures=tuple(failures))
