# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what Linux, its initial RAM disk and its services say is on the guest's console. Pure.

Seen on Xen 4.17 with Linux 6.1: a PV guest's kernel speaks on hvc0 whatever it is told, and without
a console= all does; a PVH guest's only with console=hvc0; the rest on the last console= alone.
Source: Linux arch/x86/xen/enlighten_pv.c (add_preferred_console), Documentation/admin-guide/
serial-console.rst.
"""

from collections.abc import Sequence

from guest_hooks.model import Mode
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.boot import ConsoleProblem

HVC = "hvc0"
_ALSO = {"hvc": HVC, "tty": "tty0", "": "null"}
"""A name without a number is the first of its kind, and none at all a console that shows nothing
(Linux kernel/printk/printk.c: console_setup).
"""


def _named(arguments: Sequence[str]) -> list[str]:
    """The consoles that the command line names, in its order."""
    given = [word.removeprefix("console=") for word in arguments if word.startswith("console=")]
    return [_ALSO.get(name, name) for name in (each.partition(",")[0] for each in given)]


def findings(arguments: Sequence[str], mode: Mode) -> tuple[Finding, ...]:
    """Which console the words of a boot with this command line go to, if not to the guest's."""
    names = _named(arguments)
    if not names or names[-1] == HVC:
        return ()
    heard = "Linux alone is" if mode is Mode.PV or HVC in names else "nothing of Linux is"
    return (
        Finding.of(
            ConsoleProblem.ELSEWHERE,
            link=Link.KERNEL,
            thing=f"console={names[-1]}",
            message=(
                f"the boot messages go to {names[-1]}: {heard} seen on the guest's console, {HVC}"
            ),
        ),
    )


def unknown(arguments: Sequence[str], active: str) -> str:
    """What is not known of the console; empty where it is: `active` are the consoles of the
    running system, the last of which is /dev/console.
    """
    if _named(arguments) or active.split()[-1:] == [HVC]:
        return ""
    return f"whether the boot messages are seen on the guest's console: there is no console={HVC}"
