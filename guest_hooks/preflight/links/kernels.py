# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kernel can be started in this guest's mode. Pure.

Sources: GRUB grub-core/loader/i386/{linux,xen,xen_file,xen_fileXX}.c; Linux
arch/x86/boot/compressed/misc.c.
"""

import shlex
from functools import partial

from guest_hooks.boot_images import ASTRAY, IRREGULAR, KernelFacts
from guest_hooks.formats.compression import GRUB_XEN_UNPACKS, Compression
from guest_hooks.model import Mode, Severity
from guest_hooks.paths import BOOT_XEN
from guest_hooks.preflight.needs import Kernel, Needs
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.preflight.steps import NextStep
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.problems.kernels import KernelProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import replace

_DAMAGES: dict[str, KernelProblem] = {
    FileProblem.NOT_A_KERNEL: KernelProblem.INVALID,
    ImageProblem.TRUNCATED: KernelProblem.TRUNCATED,
    SecondStageProblem.UNREADABLE: KernelProblem.UNREADABLE,
    IRREGULAR: KernelProblem.UNREADABLE,
}
"""By the fault of the file (`boot_images.KernelFacts`); any other is damage inside it."""
_kernel = partial(Finding.of, link=Link.KERNEL)
OLDEST_32_BIT_PROTOCOL = 0x0203
"""GRUB's linux command refuses older ones."""
_TOO_OLD = "error: version too old for xen boot."
_NOT_XEN = "error: not xen image."
_MAGIC = "error: invalid magic number."
_ENDS_EARLY = "premature end of file"
_SEEKS = "error: attempt to seek outside of the file."
_HALTED = "-- System halted"
_COPIES = f"{BOOT_XEN}/vmlinux-"
NOT_REGULAR = "error: not a regular file."
"""grub-core/fs/fshelp.c"""


def kernel_findings(kernel: Kernel, needs: Needs) -> tuple[Finding, ...]:
    """What keeps `kernel` from starting."""
    facts, path = kernel.facts, kernel.path
    if facts is None or facts.fault == ASTRAY:
        step = needs.steps.menu(path.rpartition("/")[2])
        message = f"{path} is not there"
        if facts is not None:
            step, message = NextStep(words=facts.hint), facts.cause
        return (_kernel(KernelProblem.MISSING, thing=path, message=message, path=path, by=step),)
    if facts.fault:
        damaged = _kernel(
            _DAMAGES.get(facts.fault, KernelProblem.DAMAGED),
            thing=path,
            message=f"{path}: {facts.cause}",
            packages=shlex.join(kernel.packages),
        )
        if path.startswith(_COPIES):
            step = needs.steps.copied_again()
            damaged = replace(damaged, hint=step.words, actor=step.actor)
        return (replace(damaged, console=_damage_console(facts, needs)),)
    if not facts.compression:
        return ()  # it could not be read at all
    match needs.mode:
        case Mode.PV:
            found = _pv(kernel, facts, needs)
        case Mode.PVH:
            found = _pvh(kernel, facts, needs)
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
    """What GRUB, or the kernel's own decompressor, says of such a file."""
    if facts.fault == IRREGULAR:
        return NOT_REGULAR
    if needs.mode is Mode.PV:
        return _damage_console_of_pv(facts)
    match facts.fault:
        case ImageProblem.TRUNCATED:
            return _ENDS_EARLY
        case FileProblem.NOT_A_KERNEL | SecondStageProblem.UNREADABLE:
            return _MAGIC
        case _:
            return _HALTED


def _damage_console_of_pv(facts: KernelFacts) -> str:
    if facts.fault == FileProblem.NOT_A_KERNEL:
        return _NOT_XEN if facts.is_empty else _TOO_OLD
    if not facts.is_bzimage and facts.compression == Compression.GZIP:
        # gzio goes on with what is in its buffer, so the notes lead anywhere: grub-file and GRUB
        # 2.12 on Xen say this of a copy that is cut off or overwritten before its notes
        return _SEEKS
    # xzio looks for the end of the payload first, the others read on to where the bytes end
    is_read = facts.compression in (Compression.NONE, Compression.GZIP)
    is_cut_off = facts.fault == ImageProblem.TRUNCATED
    return _ENDS_EARLY if is_cut_off and is_read else _NOT_XEN


def _pv(kernel: Kernel, facts: KernelFacts, needs: Needs) -> list[Finding]:
    path, found = kernel.path, []
    compression = Compression(facts.compression)
    if needs.by_grub and compression not in GRUB_XEN_UNPACKS:
        message = f"{path} is packed with {compression}, which GRUB can't unpack for a PV guest"
        certainty = Certainty.CERTAIN if needs.loader_is_certain else Certainty.LIKELY
        step = needs.steps.unpacked(path)
        packed = _kernel(KernelProblem.COMPRESSION, thing=path, message=message, by=step)
        found.append(replace(packed, certainty=certainty))
    if facts.bits and facts.bits not in needs.widths:
        widths = " or ".join(str(width) for width in sorted(needs.widths))
        message = (
            f"{path} is a {facts.bits}-bit kernel, and a PV guest boots only the width of its"
            f" second stage, {widths}"
        )
        found.append(_kernel(KernelProblem.WIDTH, thing=path, message=message, widths=widths))
    package = needs.steps.kernel(needs.mode)
    if facts.unread:
        if kernel.options and kernel.options.get("XEN_PV") != "y":
            message = f"{path} was built without CONFIG_XEN_PV"
            likely = _kernel(KernelProblem.NO_PV, thing=path, message=message, package=package)
            found.append(replace(likely, certainty=Certainty.LIKELY))
    elif not facts.has_notes:
        message = f"{path} has no Xen notes: it can't run under Xen"
        found.append(_kernel(KernelProblem.NO_NOTES, thing=path, message=message, package=package))
    elif not facts.has_entry:
        # GRUB starts it, and the domain crashes without a word.
        message = f"{path} has no Xen note ENTRY: it can't run as a PV guest"
        found.append(_kernel(KernelProblem.NO_PV, thing=path, message=message, package=package))
    elif facts.loader not in ("", "generic"):
        message = f"{path} asks for the loader {facts.loader!r}"
        found.append(_kernel(KernelProblem.LOADER, thing=path, message=message, package=package))
    return found


def _pvh(kernel: Kernel, facts: KernelFacts, needs: Needs) -> list[Finding]:
    path, package = kernel.path, needs.steps.kernel(needs.mode)
    if not facts.is_bzimage:
        message = f"{path} is a bare ELF file, and GRUB's PVH loader starts only bzImages"
        return [
            _kernel(KernelProblem.NOT_BZIMAGE, thing=path, message=message, release=kernel.release)
        ]
    if facts.protocol < OLDEST_32_BIT_PROTOCOL or not facts.loads_high:
        message = f"{path} can't be started by the 32-bit boot protocol"
        return [_kernel(KernelProblem.PROTOCOL, thing=path, message=message, package=package)]
    if not facts.unread and not facts.has_phys32_entry:
        message = f"{path} has no Xen note PHYS32_ENTRY: it was built without CONFIG_XEN_PVH"
        return [_kernel(KernelProblem.NO_PVH, thing=path, message=message, package=package)]
    if kernel.options and kernel.options.get("XEN_PVH") != "y":
        message = f"{path} was built without CONFIG_XEN_PVH"
        return [_kernel(KernelProblem.NO_PVH, thing=path, message=message, package=package)]
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
    packages = shlex.join(kernel.packages)
    missing = _kernel(
        KernelProblem.MODULES_MISSING, thing=kernel.path, message=message, packages=packages
    )
    return (missing,)
