# SPDX-License-Identifier: GPL-3.0-or-later
"""Making grub.cfg and menu.lst, and putting them in place without ever leaving a broken one."""

from collections.abc import Callable, Sequence

from guest_hooks.errors import KeptError, NotRepairedError
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import durable, mkconfig
from guest_hooks.machine.failures import told
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import (
    BootFilesystem,
    Change,
    Why,
)
from guest_hooks.paths import GRUB_CFG, MENU_LST
from guest_hooks.preflight.result import Finding
from guest_hooks.survey import legacy_menu, menu_kernels, menu_verdict
from guest_hooks.survey.plan import Plan
from guest_hooks.sync import safeguard

Judge = Callable[[bytes], Sequence[Finding]]
"""What would end the boot by a grub.cfg of these bytes and does not end it by the one there is;
empty: it may be replaced.
"""


def replace_grub_cfg(
    root: Root,
    why: tuple[Why, ...],
    settling: Settling,
    *,
    judge: Judge = lambda _made: (),
) -> list[Change]:
    """Replace grub.cfg by what update-grub would write, unless that is the same.

    Returns what changed; GRUB sees it when `settling` ends. Raises as `successor`; then the old one
    stays.
    """
    found = successor(root, why, judge=judge)
    if found is None:
        return []
    made, change = found
    with told(root, GRUB_CFG, "replaced"):
        where = root.destination(GRUB_CFG)
    durable.replace_all(
        root, {where: made.data}, mode=made.mode, owner=made.owner, settling=settling
    )
    return [change]


def successor(
    root: Root, why: tuple[Why, ...], *, judge: Judge
) -> tuple[mkconfig.Made, Change] | None:
    """The grub.cfg that would replace the one there is, checked, and what that changes; None where
    grub-mkconfig makes the same again.

    Raises `NotRepairedError` where what grub-mkconfig made is empty, cut off or refused by GRUB's
    parser, `KeptError` where `judge` has something against it.
    """
    made = mkconfig.make(root, GRUB_CFG)
    fault = menu_verdict.fault_of(root, made.data)
    if fault:
        raise NotRepairedError(
            f"grub-mkconfig made a grub.cfg that can't be right ({fault}); the old one was kept",
            hint="look at: grub-mkconfig",
        )
    before = menu_kernels.content(root)
    if before == made.data:
        return None
    against = judge(made.data)
    if against:
        raise KeptError(
            f"{GRUB_CFG} was kept: by the one that grub-mkconfig makes now this guest would not"
            f" boot: {safeguard.messages(against)}",
            path=GRUB_CFG,
            before=sha256(before) if before else "",
            made=sha256(made.data),
            hint=safeguard.step(against),
        )
    return made, _change(GRUB_CFG, before, made.data, why)


def replace_menu_lst(
    root: Root, boot: BootFilesystem, plans: tuple[Plan, ...], settling: Settling
) -> list[Change]:
    """Write menu.lst, after `problem` said that it is to be made; what changed. GRUB sees it when
    `settling` ends.
    """
    text = legacy_menu.text(root, boot, plans) or ""
    before = legacy_menu.content(root)
    durable.replace_all(root, {MENU_LST: text.encode()}, settling=settling)
    return [_change(MENU_LST, (before or "").encode(), text.encode(), (legacy_menu.CODE,))]


def _change(path: str, before: bytes, after: bytes, why: tuple[Why, ...]) -> Change:
    was = sha256(before) if before else ""
    return Change(path=path, before=was, after=sha256(after), why=why)
