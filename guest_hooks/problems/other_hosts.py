# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps hosts that start no GRUB 2 from starting the guest: pvgrub-legacy, pygrub."""

from guest_hooks.problems.row import Actor, Certainty, Effect, ProblemCode, Row, Severity

_LEGACY = "set legacy_menu = true, then: xen-guest-bootloader sync"
_OR_NO_PYGRUB = "ask the host's admin for a GRUB image in place of pygrub"
PYGRUB_ENDS = "RuntimeError: Unable to find partition containing kernel"
"""What pygrub ends with on the host, whatever the cause; the guest is not started at all."""


class LegacyProblem(ProblemCode):
    """What keeps pvgrub-legacy from starting a second stage."""

    MENU = Row(
        "legacy-menu",
        "menu.lst does not start the second stage, and legacy_menu = true asks for it.",
        hint="{step}",
        step="xen-guest-bootloader sync; move a menu.lst of your own away before that",
        console="grubdom>",
        effect=Effect.MAY_END,
    )
    MENU_MISSING = Row(
        "legacy-menu-missing",
        "menu.lst is missing, and pvgrub-legacy reads no other menu.",
        effect=Effect.ENDS,
        console="grubdom>",
        hint=_LEGACY,
    )
    MENU_OTHER = Row(
        "legacy-menu-other",
        "menu.lst does not name the second stage.",
        hint=_LEGACY,
        severity=Severity.WARNING,
    )
    MENU_EMPTY = Row(
        "legacy-menu-empty",
        "menu.lst has no entry (a title with commands after it).",
        effect=Effect.ENDS,
        console="grubdom>",
        hint=_LEGACY,
    )
    MENU_WAITS = Row(
        "legacy-menu-waits",
        "menu.lst sets no timeout, so pvgrub-legacy waits for a key.",
        effect=Effect.ENDS,
        console="GNU GRUB  version 0.97",
        hint="put the line timeout 5 before the first title of /boot/grub/menu.lst",
        actor=Actor.GUEST,
    )
    DRIVE = Row(
        "legacy-drive",
        "menu.lst names a disk that is not the one on which pvgrub-legacy finds /boot; it counts "
        "disks by their numbers, and xvda1 and xvda2 can be two disks.",
        effect=Effect.ENDS,
        console="Error ",
        hint="name the kernel in /boot/grub/menu.lst as {name}; or set legacy_menu = true, move "
        "menu.lst away, then: xen-guest-bootloader sync",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    KERNEL_MISSING = Row(
        "legacy-kernel-missing",
        "The kernel that menu.lst names is not there.",
        effect=Effect.ENDS,
        console="Error 15: File not found",
        hint="name one that is there in /boot/grub/menu.lst; or set legacy_menu = true, move "
        "menu.lst away, then: xen-guest-bootloader sync",
        actor=Actor.GUEST,
    )
    FILE_SYSTEM = Row(
        "legacy-file-system",
        "pvgrub-legacy can't read the file system of /boot.",
        effect=Effect.ENDS,
        console="grubdom>",
        hint="use ext3 for /boot",
        actor=Actor.GUEST,
    )


class PygrubProblem(ProblemCode):
    """What keeps the host's pygrub from starting the guest."""

    FILE_SYSTEM = Row(
        "pygrub-file-system",
        "pygrub can't read the file system of /boot.",
        effect=Effect.ENDS,
        console=PYGRUB_ENDS,
        hint=f"put /boot on ext4; or {_OR_NO_PYGRUB}",
        actor=Actor.GUEST,
    )
    FINDS_NOTHING = Row(
        "pygrub-finds-nothing",
        "pygrub finds none of the menus that it looks for.",
        effect=Effect.ENDS,
        console=PYGRUB_ENDS,
        hint="make the menu: update-grub",
        actor=Actor.GUEST,
    )
    STARTS_NOTHING = Row(
        "pygrub-starts-nothing",
        "The menu has no entry with a kernel where pygrub takes its default.",
        effect=Effect.ENDS,
        console=PYGRUB_ENDS,
        hint="make the menu: update-grub",
        actor=Actor.GUEST,
    )
    REFUSES = Row(
        "pygrub-refuses",
        "The menu has a line that pygrub can't read, and it gives up.",
        effect=Effect.ENDS,
        console=PYGRUB_ENDS,
        hint="remove or change that line, in /etc/default/grub or /etc/grub.d, and run "
        f"update-grub; or {_OR_NO_PYGRUB}",
        actor=Actor.GUEST,
    )
    WAITS = Row(
        "pygrub-waits",
        "The menu sets no timeout, and pygrub waits for a key.",
        hint="set GRUB_TIMEOUT in /etc/default/grub and run update-grub",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
        certainty=Certainty.CERTAIN,
    )
