# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a menu: grub.cfg, its entries and grubenv; menu.lst; what pygrub reads."""

from guest_hooks.problems.row import Actor, Certainty, Effect, ProblemCode, Row, Severity, State

_MAKE = "make it with: {menu}"
_UPDATE = "make it again with: {menu}"
_OTHER_DEFAULT = "set GRUB_DEFAULT=0, or another entry, in /etc/default/grub, then: update-grub"
NO_HYPERVISOR = (
    "set XEN_OVERRIDE_GRUB_DEFAULT=0 in /etc/default/grub.d/xen.cfg, or remove the hypervisor "
    "(apt purge xen-hypervisor-common), then: update-grub"
)
"""The file is a conffile of that package's, which makes its entry the default."""


class MenuProblem(ProblemCode):
    """What `status` and `preflight` find in grub.cfg and in what it reads."""

    MISSING = Row(
        "grub-cfg-missing",
        "grub.cfg is missing.",
        effect=Effect.ENDS,
        console="grub>",
        hint=_MAKE,
        state=State.MISSING,
    )
    UNREADABLE = Row(
        "grub-cfg-unreadable",
        "grub.cfg can't be read, or is no regular file.",
        effect=Effect.ENDS,
        console="grub>",
        hint=_MAKE,
        state=State.INVALID,
    )
    INVALID = Row(
        "grub-cfg-invalid",
        "grub.cfg is empty, cut off, or refused by GRUB's parser.",
        effect=Effect.ENDS,
        console="error: syntax error.",
        hint=_MAKE,
        state=State.INVALID,
    )
    NOT_KNOWN = Row(
        "grub-cfg-not-known",
        "This user may not read grub.cfg.",
        hint="look as root: sudo xen-guest-bootloader status",
        state=State.UNKNOWN,
    )
    KERNEL_NOT_LISTED = Row(
        "kernel-not-in-menu",
        "The menu lacks a kernel whose installation is complete.",
        hint=_UPDATE,
        state=State.STALE,
    )
    KERNEL_INCOMPLETE = Row(
        "kernel-incomplete",
        "The menu lacks a kernel, and that kernel can't be booted yet.",
        hint="{step}",
        step="dpkg --configure -a; or: apt install --reinstall linux-image-RELEASE",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    KERNEL_GONE = Row(
        "kernel-gone",
        "The menu names a kernel that is no longer there.",
        effect=Effect.MAY_END,
        console="error: file `{path}' not found.",
        hint=_UPDATE,
        state=State.STALE,
    )
    PV_KERNEL_NOT_LISTED = Row(
        "pv-kernel-not-in-menu",
        "A PV boot by the menu would start a kernel that GRUB can't unpack, beside its copy.",
        effect=Effect.MAY_END,
        console="error: not xen image.",
        hint="make it again with: xen-guest-bootloader sync",
        state=State.STALE,
    )
    INITRD_NOT_LISTED = Row(
        "initrd-not-in-menu",
        "An entry starts a kernel without the initial RAM disk that is there for it.",
        effect=Effect.MAY_END,
        console="Kernel panic - not syncing: VFS: Unable to mount root fs",
        hint=_UPDATE,
        state=State.STALE,
    )
    INITRD_GONE = Row(
        "initrd-gone",
        "An entry names an initial RAM disk that is gone and not needed.",
        console="error: file `{path}' not found.",
        hint=_UPDATE,
        state=State.STALE,
    )
    ANOTHER_DISK = Row(
        "menu-of-another-disk",
        "The menu looks for its kernels on another file system, as in a clone.",
        effect=Effect.MAY_END,
        console="error: no such device: {uuid}.",
        hint=_UPDATE,
        state=State.STALE,
    )
    ANOTHER_ROOT = Row(
        "menu-of-another-root",
        "The menu gives Linux another root file system than the guest's.",
        effect=Effect.MAY_END,
        console="ALERT!  {root} does not exist.  Dropping to a shell!",
        hint=_UPDATE,
        state=State.STALE,
    )
    BUILDERS_DISK = Row(
        "menu-of-builders-disk",
        "The menu gives Linux a disk of the machine that built the image as its root.",
        effect=Effect.MAY_END,
        console="ALERT!  {root} does not exist.  Dropping to a shell!",
        hint=_UPDATE,
        state=State.STALE,
    )
    NO_HANDOVER = Row(
        "no-handover",
        "grub.cfg does not let a host's PVH GRUB hand over to the second stage.",
        hint=_UPDATE,
        state=State.STALE,
    )
    KEPT = Row(
        "menu-kept",
        "A sync kept grub.cfg, since by the one that it made the guest would not boot.",
        hint="{step}",
        step="correct what the message names; or: xen-guest-bootloader sync --force",
    )
    EMPTY = Row(
        "menu-empty",
        "grub.cfg makes a menu without entries.",
        effect=Effect.ENDS,
        console="grub>",
        hint="{step}",
        step="update-grub; in a guest without a kernel: apt install linux-image-amd64",
        actor=Actor.GUEST,
    )
    WAITS = Row(
        "menu-waits",
        "The menu has no timeout, so GRUB waits for a key.",
        effect=Effect.ENDS,
        console="GNU GRUB",
        hint="set GRUB_TIMEOUT=5 in /etc/default/grub, then: update-grub",
        actor=Actor.GUEST,
    )
    ASKS = Row(
        "menu-asks",
        "GRUB asks for a user's name before it starts the default entry.",
        effect=Effect.ENDS,
        console="Enter username:",
        hint="add --unrestricted to CLASS in /etc/grub.d/10_linux, then: update-grub",
        actor=Actor.GUEST,
    )
    COMMAND_MISSING = Row(
        "entry-command-missing",
        "The default entry needs a command that GRUB does not have in such a guest, as "
        "xen-hypervisor's does.",
        effect=Effect.ENDS,
        console="can't find command `{command}'.",
        hint=_OTHER_DEFAULT,
        actor=Actor.GUEST,
    )
    OTHER_SYSTEM = Row(
        "entry-starts-hypervisor",
        "The default entry starts a hypervisor, which finds no machine of its own in a guest.",
        effect=Effect.ENDS,
        hint=NO_HYPERVISOR,
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    STARTS_NOTHING = Row(
        "entry-starts-nothing",
        "The default entry loads no kernel, waits for a line, or ends GRUB.",
        effect=Effect.ENDS,
        console="Booting `",
        hint=_OTHER_DEFAULT,
        actor=Actor.GUEST,
    )
    DEFAULT_NOT_THERE = Row(
        "default-not-there",
        "The default names no entry, so GRUB starts another one.",
        console="Booting `{title}'",
        hint="set GRUB_DEFAULT in /etc/default/grub and run update-grub, or: grub-set-default",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    FILE_SYSTEM_MISSING = Row(
        "entry-file-system-missing",
        "An entry looks for a file system that the guest does not have; GRUB goes on where "
        "grub.cfg is.",
        console="error: no such device: {uuid}.",
        hint="{step}",
        step="make the menu again: update-grub",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    DISK_MISSING = Row(
        "entry-disk-missing",
        "An entry takes its kernel from a disk by a name that this guest's GRUB does not have: "
        "(hd0,msdos1) and its like are those of other machines.",
        effect=Effect.ENDS,
        console="error: disk `{disk}' not found.",
        hint="{step}",
        step="make the menu again: update-grub",
        actor=Actor.GUEST,
    )
    UNSIGNED = Row(
        "boot-file-unsigned",
        "The second stage checks signatures (grub-install --pubkey), and a file that it reads has "
        "none.",
        effect=Effect.ENDS,
        console="error: file `{path}.sig' not found.",
        hint="sign it: gpg --yes --detach-sign {file}",
        actor=Actor.GUEST,
    )
    GRUBENV = Row(
        "grubenv-invalid",
        "GRUB's environment block is damaged, and GRUB goes on without its saved entry.",
        console="error: invalid environment block.",
        hint="make a new one: grub-editenv {path} create",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
