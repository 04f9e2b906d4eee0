# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a second stage in its place: missing, out of date, in the wrong hands."""

from guest_hooks.problems.row import Actor, Certainty, Effect, Row, SecondStageCode, Severity, State

_UPDATE = "bring it up to date with: xen-guest-bootloader sync"


class SecondStageProblem(SecondStageCode):
    """What `status` finds of a target; preflight's names of these begin with `second-stage-`."""

    MISSING = Row(
        "missing",
        "A file of the second stage is missing.",
        effect=Effect.FALLS_BACK,
        console="error: no such device: {path}.",
        hint="make it with: xen-guest-bootloader sync",
        state=State.MISSING,
    )
    UNREADABLE = Row(
        "unreadable",
        "The second stage can't be read, or is a symbolic link or no regular file.",
        effect=Effect.FALLS_BACK,
        console="error: not xen image.",
        hint="replace it with: xen-guest-bootloader sync",
        state=State.INVALID,
        certainty=Certainty.LIKELY,
    )
    FOREIGN = Row(
        "foreign",
        "The file is a valid Xen image that grub-install did not make.",
        hint="keep it: echo 'accept_foreign = true' "
        ">/etc/xen-guest-bootloader/conf.d/50-own.toml; or replace it: "
        "xen-guest-bootloader sync --adopt",
        state=State.FOREIGN,
    )
    UUID_MISMATCH = Row(
        "uuid-mismatch",
        "The second stage looks for another file system than that of /boot/grub.",
        effect=Effect.ENDS,
        console="error: no such device: {uuid}.",
        hint=_UPDATE,
        state=State.STALE,
    )
    PREFIX_MISMATCH = Row(
        "prefix-mismatch",
        "The second stage looks for /boot/grub under another path.",
        effect=Effect.ENDS,
        console="grub>",
        hint=_UPDATE,
        state=State.STALE,
        certainty=Certainty.LIKELY,
    )
    MODULES_MISSING = Row(
        "modules-missing",
        "The second stage lacks GRUB modules; without the driver of /boot the boot ends.",
        effect=Effect.MAY_END,
        console="error: no such device",
        hint=_UPDATE,
        state=State.STALE,
        certainty=Certainty.LIKELY,
    )
    MODULES_DIFFER = Row(
        "modules-differ",
        'Its modules are not those of grub-xen-bin; ends the boot only if modules = "minimal".',
        effect=Effect.MAY_END,
        console="symbol `grub_",
        hint=_UPDATE,
        state=State.STALE,
        certainty=Certainty.LIKELY,
    )
    GRUB_DIFFERS = Row(
        "grub-differs",
        'Another GRUB than grub-xen-bin made it; ends the boot only if modules = "minimal".',
        effect=Effect.MAY_END,
        console="symbol `grub_",
        hint=_UPDATE,
        state=State.STALE,
        certainty=Certainty.LIKELY,
    )
    MODULE_DIR_DIFFERS = Row(
        "module-dir-differs",
        '/boot/grub/TARGET differs from grub-xen-bin; ends the boot only if modules = "minimal".',
        effect=Effect.MAY_END,
        console="symbol `grub_",
        hint=_UPDATE,
        state=State.STALE,
        certainty=Certainty.LIKELY,
    )
    CORE_IMAGE_DIFFERS = Row(
        "core-image-differs",
        "/boot/grub/TARGET/core.elf is not the second stage that is installed.",
        hint=_UPDATE,
        state=State.STALE,
    )
    CONFIGURATION_CHANGED = Row(
        "configuration-changed",
        "The configuration asks for other modules than when the second stage was made.",
        hint=_UPDATE,
        state=State.STALE,
    )
    CHOICES_DIFFER = Row(
        "choices-differ",
        "The second stage was made with other options than this grub-install has.",
        hint=_UPDATE,
        state=State.STALE,
    )
    COPY_DIFFERS = Row(
        "copy-differs",
        "A second file of the target (the PVH bridge, the other PVH name) belongs to another "
        "core image.",
        hint=_UPDATE,
        state=State.STALE,
    )
    BRIDGE_UNWANTED = Row(
        "bridge-unwanted",
        "The PVH bridge is there, and the configuration says pvh_chainload = false.",
        hint=_UPDATE,
        state=State.STALE,
    )
    BOOT_NOT_KNOWN = Row(
        "boot-not-known",
        "The UUID of /boot's file system could not be read, so what must look for it can't be "
        "judged.",
        hint="look as root: sudo xen-guest-bootloader status",
        state=State.UNKNOWN,
    )
    HELD_BY_ROLLBACK = Row(
        "held-by-rollback",
        "The second stage was put back by rollback, and automatic runs leave it alone.",
        hint="take the newest again with: xen-guest-bootloader sync",
        state=State.CURRENT,
        severity=Severity.WARNING,
    )
    KEPT = Row(
        "second-stage-kept",
        "A sync kept the second stage, since by the one that it made the guest might not boot.",
        hint="{step}",
        step="correct what the message names; or: xen-guest-bootloader sync --force",
        state=State.STALE,
    )
    LEFT_BEHIND = Row(
        "second-stage-left-behind",
        "A second stage of an earlier sync is no longer among the targets, and nothing keeps it "
        "up to date.",
        hint="remove it: rm {paths}; or keep it up to date: echo 'targets = [{targets}]' "
        ">/etc/xen-guest-bootloader/conf.d/50-targets.toml",
        severity=Severity.WARNING,
    )
    NOT_REACHED = Row(
        "second-stage-not-reached",
        "A PVH second stage is there, and grub.cfg does not hand over to it.",
        hint="let update-grub run {script} (chmod +x), or set pvh_chainload = false",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
    NOT_BOOTED_BY = Row(
        "not-booted-by-second-stage",
        "This boot used the host's GRUB alone, although a second stage was there.",
        hint="{step}",
        step="have the host start a stage 1 that looks for it, such as Debian's",
        actor=Actor.HOST,
        severity=Severity.WARNING,
    )
    GRUB_NOT_INSTALLED = Row(
        "grub-not-installed",
        "GRUB's modules for a target are not installed, so no second stage can be made.",
        hint="apt install grub-xen-bin",
        actor=Actor.GUEST,
    )
    GRUB_HALF_INSTALLED = Row(
        "grub-half-installed",
        "grub-xen-bin is half-installed, and its modules may be of two versions.",
        hint="apt install --reinstall grub-xen-bin",
        actor=Actor.GUEST,
    )


FOR_STATUS_ALONE = (SecondStageProblem.LEFT_BEHIND,)
"""What `status` shows, and what no run repeats: nothing that it does has to do with it."""
