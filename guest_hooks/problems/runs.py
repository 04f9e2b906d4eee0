# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run could not do or could not make sure of."""

from guest_hooks.problems.row import Actor, ProblemCode, Row, Severity


class RunProblem(ProblemCode):
    """Warnings of a run; the guest's boot files are whole."""

    BARRIER_LATE = Row(
        "barrier-late",
        "A file is written, and GRUB finds the old one until XFS has put its log in place.",
        hint="a clean shutdown or unmount puts it in place; how often XFS does it by itself: "
        "sysctl fs.xfs.xfssyncd_centisecs",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    BARRIER_UNKNOWN = Row(
        "barrier-unknown",
        "A file is written, but no way is known to make GRUB see it at once on this file system.",
        hint="a clean shutdown or unmount does",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    BARRIER_REFUSED = Row(
        "barrier-refused",
        "A file is written, but the request to bring it to where GRUB reads it was refused.",
        hint="a clean shutdown or unmount does it",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    RECEIPT_NOT_KEPT = Row(
        "receipt-not-kept",
        "What was installed could not be recorded in /var/lib/xen-guest-bootloader.",
        hint="{step}",
        step="make room, or mount /var writable",
        severity=Severity.WARNING,
    )
    PREVIOUS_NOT_KEPT = Row(
        "previous-not-kept",
        "The second stage before this one could not be kept for rollback.",
        hint="{step}",
        step="make room, or mount /var writable",
        severity=Severity.WARNING,
    )
    TARGET_FAILED = Row(
        "target-failed",
        "The second stage of an optional target could not be made.",
        hint="{step}",
        step="see the message; xen-guest-bootloader sync tries again",
        severity=Severity.WARNING,
    )
    OPTIONAL_TARGET = Row(
        "optional-target",
        "An optional target is not current.",
        hint="see why: xen-guest-bootloader status",
        severity=Severity.WARNING,
    )
    PACKAGES = Row(
        "package-manager-at-work",
        "Packages are being installed at the same time, so what was done may soon be out of date.",
        hint="{step}",
        step="let it finish, then: xen-guest-bootloader sync",
        severity=Severity.WARNING,
    )
