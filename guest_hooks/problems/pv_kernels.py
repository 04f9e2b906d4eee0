# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the copies of kernels that GRUB starts as PV, see `formats.pv_kernel`."""

from guest_hooks.problems.row import Effect, ProblemCode, Row, Severity, State

_SYNC = "make it with: xen-guest-bootloader sync"
_CONSOLE = "error: not xen image."


class PvKernelProblem(ProblemCode):
    """What `status` finds of the copy in /boot/xen of a kernel that GRUB can't unpack for PV."""

    MISSING = Row(
        "pv-kernel-missing",
        "GRUB can't unpack the kernel for a PV guest, and there is no copy that it can.",
        effect=Effect.MAY_END,
        console=_CONSOLE,
        hint=_SYNC,
        state=State.MISSING,
    )
    STALE = Row(
        "pv-kernel-stale",
        "The copy for PV was made from another kernel of the same name.",
        hint=_SYNC,
        state=State.STALE,
    )
    DAMAGED = Row(
        "pv-kernel-damaged",
        "The copy for PV is damaged or cut off.",
        effect=Effect.MAY_END,
        console="error: attempt to seek outside of the file.",
        hint=_SYNC,
        state=State.INVALID,
    )
    UNFIT = Row(
        "pv-kernel-unfit",
        "The kernel can't run as a 64-bit PV guest, and so no copy for PV is made from it.",
        hint="boot a kernel built with CONFIG_XEN_PV, such as linux-image-amd64",
    )
    UNWANTED = Row(
        "pv-kernel-unwanted",
        'A copy for PV is there, but its kernel is gone or needs none, or pv_kernels is "never".',
        hint="remove it with: xen-guest-bootloader sync",
        severity=Severity.WARNING,
    )
    KEPT = Row(
        "pv-kernel-kept",
        "A copy for PV is no longer wanted, but this PV guest would not boot without it.",
        hint="remove it all the same: xen-guest-bootloader sync --force",
        severity=Severity.WARNING,
    )
