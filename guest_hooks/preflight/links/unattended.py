# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the menu goes on by itself to an entry that starts Linux. Pure.

Sources: GRUB grub-core/normal/{menu,auth}.c; the commands of each platform are those of its
command.lst. The consoles are those of guests on Xen 4.17 with GRUB 2.06.
"""

from collections.abc import Iterator

from guest_hooks.formats.grub_menu import Choice, Entry, Menu
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.menus import NO_HYPERVISOR, MenuProblem
from guest_hooks.records import replace

_HYPERVISOR = frozenset({"multiboot", "multiboot2", "module", "module2", "xen_hypervisor"})
_OTHER_LOADERS = frozenset({"multiboot", "multiboot2", "xen_hypervisor"})
"""On GRUB for PV `multiboot` is another name of `linux`, and is followed as that."""
_ENDS = frozenset({"halt", "reboot", "exit"})


def findings(
    menu: Menu, choice: Choice, steps: Steps
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What keeps the default entry from starting Linux while nobody touches a key, and what of
    that is not known.
    """
    if not menu.entries and menu.is_whole:
        return (), ()
    unknown = []
    if menu.waits is None:
        unknown.append("whether the menu goes on by itself: grub.cfg decides that while it runs")
    asks = [entry.asks for entry in choice.way]
    if None in asks and True not in asks:
        unknown.append("whether GRUB asks for a password: grub.cfg decides that while it runs")
    found = (_with_step(each, choice, steps) for each in _findings(menu, choice))
    return tuple(found), tuple(unknown)


def _with_step(found: Finding, choice: Choice, steps: Steps) -> Finding:
    """With the step for the file that says so, where that is not one of GRUB's settings."""
    match found.code:
        case MenuProblem.WAITS:
            hint = steps.where("timeout", "set timeout=5", found.hint)
        case MenuProblem.ASKS:
            hint = steps.where(found.thing, "add --unrestricted to its line", found.hint)
        case _:
            hint = steps.default(choice.wanted, found.hint)
    return replace(found, hint=hint)


def is_explained(entry: Entry) -> bool:
    """Whether `findings` says why this entry starts no Linux."""
    return bool(_nothing(entry)) or _is_other_system(entry)


def _findings(menu: Menu, choice: Choice) -> Iterator[Finding]:
    if menu.waits or any(entry.waits for entry in choice.way):
        yield Finding.of(
            MenuProblem.WAITS,
            link=Link.GRUB_CFG,
            thing="grub.cfg",
            message="the menu of grub.cfg has no timeout: GRUB waits for a key",
        )
    if not choice.is_sure:
        return
    asking = next((entry for entry in choice.way if entry.asks), None)
    if asking is not None:
        yield Finding.of(
            MenuProblem.ASKS,
            link=Link.ENTRY,
            thing=asking.title,
            message=(
                f"grub.cfg sets superusers, and the entry {asking.title!r} is not --unrestricted:"
                " GRUB asks for a user's name and password"
            ),
        )
    if choice.entry is not None:
        yield from _of_default(choice.entry)


def _of_default(entry: Entry) -> Iterator[Finding]:
    if _is_other_system(entry) and entry.boot is not None:
        yield Finding.of(
            MenuProblem.OTHER_SYSTEM,
            link=Link.ENTRY,
            thing=entry.title,
            message=(
                f"the entry {entry.title!r} starts {entry.boot.kernel} by {entry.boot.command}:"
                " a hypervisor finds no machine of its own in a guest"
            ),
        )
        return
    why = _nothing(entry)
    if why:
        command = entry.lacking[0] if entry.lacking else ""
        code = MenuProblem.COMMAND_MISSING if command else MenuProblem.STARTS_NOTHING
        found = Finding.of(
            code,
            link=Link.ENTRY,
            thing=entry.title,
            message=f"the entry {entry.title!r} {why}",
            command=command,
        )
        yield replace(found, hint=NO_HYPERVISOR) if command in _HYPERVISOR else found


def _is_other_system(entry: Entry) -> bool:
    """Whether the entry starts, by a loader that this GRUB has, what is no Linux."""
    return entry.boot is not None and entry.boot.command in _OTHER_LOADERS


def _nothing(entry: Entry) -> str:
    """Why an entry starts nothing; empty where it starts something, or that is not known."""
    if entry.is_submenu or entry.not_understood:
        return ""
    if entry.does:
        does = "ends the boot" if entry.does in _ENDS else "waits for a line"
        return f"{does} by the command {entry.does}"
    if entry.boot is not None:
        return ""
    if entry.lacking:
        return f"starts nothing: this guest's GRUB has no command {entry.lacking[0]}"
    return "" if entry.is_doubtful else "loads no kernel"
