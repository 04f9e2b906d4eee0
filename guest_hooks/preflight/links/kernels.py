# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kernel can be started in this guest's mode. Pure.

Sources: GRUB grub-core/loader/i386/{linux,xen,xen_file,xen_fileXX}.c; Linux
arch/x86/boot/compressed/misc.c.
"""

from dataclasses import replace
from functools import partial

from guest_hooks.formats.bzimage import GRUB_XEN_UNPACKS
from guest_hooks.formats.compression import Compression
from guest_hooks.model import KernelFacts, Mode, Severity
from guest_hooks.preflight.needs import Kernel, Needs
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.problems.boot import KernelProblem

_DAMAGES: dict[str, KernelProblem] = {
    "not-a-kernel": KernelProblem.INVALID,
    "truncated": KernelProblem.TRUNCATED,
    "unreadable": KernelProblem.UNREADABLE,
}
"""By the fault of the file (`boot_files.KernelFacts`); any other is damage inside it."""
_kernel = partial(Finding, link=Link.KERNEL)
OLDEST_32_BIT_PROTOCOL = 0x0203
"""GRUB's linux command refuses older ones."""


def kernel_findings(kernel: Kernel, needs: Needs) -> tuple[Finding, ...]:
    """What keeps `kernel` from starting."""
    facts, path = kernel.facts, kernel.path
    other = (
        "boot another kernel from the menu, and install this one again: apt install --reinstall"
        " linux-image-VERSION"
    )
    if facts is None:
        return (
            _kernel(
                code=KernelProblem.MISSING,
                thing=path,
                message=f"{path} is not there",
                console=f"error: file `{path}' not found.",
                hint="make the menu anew: update-grub",
            ),
        )
    if facts.fault:
        return (
            _kernel(
                code=_DAMAGES.get(facts.fault, KernelProblem.DAMAGED),
                thing=path,
                message=f"{path}: {facts.cause}",
                console=_damage_console(facts, needs),
                hint=other,
            ),
        )
    if not facts.compression:
        return ()  # it could not be read at all
    match needs.mode:
        case Mode.PV:
            found = _pv(kernel, facts, needs)
        case Mode.PVH:
            found = _pvh(kernel, facts)
        case _:
            found = []
    if facts.release and facts.release == needs.running and not needs.loader_is_certain:
        return tuple(_disproved(finding) for finding in found)
    return tuple(found)


def _disproved(finding: Finding) -> Finding:
    """The finding on a kernel that runs at this moment: whatever starts this guest can start it."""
    message = (
        f"{finding.message}; yet it runs now, so this host may start kernels by other means"
        " (pygrub, or directly)"
    )
    return replace(
        finding,
        message=message,
        severity=Severity.WARNING,
        certainty=Certainty.UNKNOWN,
        stops=False,
    )


def _damage_console(facts: KernelFacts, needs: Needs) -> str:
    if needs.mode is Mode.PV:
        if facts.fault == "not-a-kernel" and "empty" not in facts.cause:
            return "error: version too old for xen boot."
        # xzio looks for the end of the payload first, the others read on to where the bytes end
        is_read = facts.fault == "truncated" and facts.compression in (
            Compression.NONE,
            Compression.GZIP,
        )
        return "premature end of file" if is_read else "error: not xen image."
    match facts.fault:
        case "truncated":
            return "premature end of file"
        case "not-a-kernel" | "unreadable":
            return "error: invalid magic number."
        case _:
            return "-- System halted"


def _pv(kernel: Kernel, facts: KernelFacts, needs: Needs) -> list[Finding]:
    path, found = kernel.path, []
    step = (
        'have the host start this guest as PVH (type="pvh"), or see NOTES in'
        " xen-guest-bootloader(8)"
    )
    compression = Compression(facts.compression)
    if needs.by_grub and compression not in GRUB_XEN_UNPACKS:
        message = f"{path} is packed with {compression}, which GRUB can't unpack for a PV guest"
        certainty = Certainty.CERTAIN if needs.loader_is_certain else Certainty.LIKELY
        found.append(
            _kernel(
                code=KernelProblem.COMPRESSION,
                thing=path,
                message=message,
                console="error: not xen image.",
                hint=step,
                certainty=certainty,
            )
        )
    if facts.bits and facts.bits not in needs.widths:
        widths = " or ".join(str(width) for width in sorted(needs.widths))
        message = (
            f"{path} is a {facts.bits}-bit kernel, and a PV guest boots only the width of its"
            f" second stage, {widths}"
        )
        found.append(
            _kernel(
                code=KernelProblem.WIDTH,
                thing=path,
                message=message,
                console="incompatible architecture",
                hint="boot a kernel of that width",
            )
        )
    hint = (
        "boot a kernel built with CONFIG_XEN_PV, such as linux-image-amd64, or have the host start"
        " this guest as PVH"
    )
    if facts.unread:
        if kernel.options and kernel.options.get("XEN_PV") != "y":
            message = f"{path} was built without CONFIG_XEN_PV"
            found.append(
                _kernel(
                    code=KernelProblem.NO_PV,
                    thing=path,
                    message=message,
                    certainty=Certainty.LIKELY,
                    hint=hint,
                )
            )
    elif not facts.has_notes:
        found.append(
            _kernel(
                code=KernelProblem.NO_NOTES,
                thing=path,
                message=f"{path} has no Xen notes: it can't run under Xen",
                console="no XEN note",
                hint=hint,
            )
        )
    elif not facts.has_entry:
        message = f"{path} has no Xen note ENTRY: it can't run as a PV guest"
        found.append(
            _kernel(code=KernelProblem.NO_PV, thing=path, message=message, hint=hint)
        )  # GRUB starts it, and the domain crashes without a word
    elif facts.loader not in ("", "generic"):
        found.append(
            _kernel(
                code=KernelProblem.LOADER,
                thing=path,
                message=f"{path} asks for the loader {facts.loader!r}",
                console="invalid loader",
                hint=hint,
            )
        )
    return found


def _pvh(kernel: Kernel, facts: KernelFacts) -> list[Finding]:
    path = kernel.path
    if not facts.is_bzimage:
        message = f"{path} is a bare ELF file, and GRUB's PVH loader starts only bzImages"
        return [
            _kernel(
                code=KernelProblem.NOT_BZIMAGE,
                thing=path,
                message=message,
                console="error: invalid magic number.",
                hint="boot a bzImage",
            )
        ]
    if facts.protocol < OLDEST_32_BIT_PROTOCOL or not facts.loads_high:
        message = f"{path} can't be started by the 32-bit boot protocol"
        return [
            _kernel(
                code=KernelProblem.PROTOCOL,
                thing=path,
                message=message,
                console="32-bit boot",
                hint="boot a newer kernel",
            )
        ]
    hint = "boot a kernel built with CONFIG_XEN_PVH, such as linux-image-amd64"
    if not facts.unread and not facts.has_phys32_entry:
        message = f"{path} has no Xen note PHYS32_ENTRY: it was built without CONFIG_XEN_PVH"
        return [
            _kernel(
                code=KernelProblem.NO_PVH,
                thing=path,
                message=message,
                certainty=Certainty.LIKELY,
                hint=hint,
            )
        ]
    if kernel.options and kernel.options.get("XEN_PVH") != "y":
        message = f"{path} was built without CONFIG_XEN_PVH"
        return [
            _kernel(
                code=KernelProblem.NO_PVH,
                thing=path,
                message=message,
                certainty=Certainty.LIKELY,
                hint=hint,
            )
        ]
    return []


def modules_finding(kernel: Kernel) -> tuple[Finding, ...]:
    """Whether the modules that the booted system needs (its network, for one) are on the root
    file system.
    """
    release = kernel.facts.release if kernel.facts else ""
    if kernel.has_modules or not release or not kernel.options:
        return ()
    message = (
        f"/lib/modules/{release} is not there: {kernel.path} comes up without its modules, the"
        " network's among them"
    )
    hint = f"apt install --reinstall linux-image-{release}"
    finding = _kernel(
        code=KernelProblem.MODULES_MISSING, thing=kernel.path, message=message, hint=hint
    )
    return (replace(finding, stops=False, console="Failed to start systemd-modules-load.service"),)
