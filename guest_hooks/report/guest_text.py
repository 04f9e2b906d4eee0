# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guest this is, in words."""

from guest_hooks.model import Guest, Mode
from guest_hooks.report.layout import Kind, Style, block, plain

_MODES = {
    Mode.PV: "Xen PV",
    Mode.PVH: "Xen PVH",
    Mode.HVM: "Xen HVM",
    Mode.DOM0: "Xen host (dom0)",
    Mode.ARM: "Xen on ARM",
    Mode.NONE: "not under Xen",
}


def summary(guest: Guest) -> str:
    """Mode, width of the running kernel and firmware: `Xen PV, 64-bit`."""
    bits = f", {guest.bits}-bit" if guest.mode in (Mode.PV, Mode.PVH, Mode.HVM) else ""
    return f"{_MODES[guest.mode]}{bits}{', EFI firmware' if guest.efi else ''}"


def guest_text(guest: Guest, style: Style) -> list[str]:
    """One line, and the evidence for it below: the first, or all where details are asked for."""
    lines = block(((summary(guest), Kind.NAME),), style, indent=0)
    shown = guest.evidence if style.verbose else guest.evidence[:1]
    return [*lines, *(line for each in shown for line in block(plain(each), style, indent=2))]
