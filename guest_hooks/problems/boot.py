# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong on the disks that stage 1 searches, with the root file system and fstab."""

from guest_hooks.problems.row import Actor, Certainty, Effect, ProblemCode, Row, Severity, ending

_NO_ROOT = "ALERT!  {root} does not exist.  Dropping to a shell!"


class Stage1Problem(ProblemCode):
    """What stage 1 finds on the guest's disks."""

    FINDS_NOTHING = Row(
        "stage1-finds-nothing",
        "Stage 1 finds neither a second stage nor grub.cfg.",
        effect=Effect.ENDS,
        console="error: no such device: {path}.",
        hint="{remedy}",
    )
    OTHER_DISK_FIRST = Row(
        "other-disk-first",
        "Stage 1 takes a second stage or grub.cfg from another disk.",
        effect=Effect.ENDS,
        console="Chainloading ({device}){path}",
        hint="{step}",
        step="detach DEVICE, or rename the file on it",
        actor=Actor.HOST,
        certainty=Certainty.LIKELY,
    )
    OTHER_DISK_HAS_COPY = Row(
        "other-disk-has-copy",
        "Another disk has the same file, and the order of the disks is the host's.",
        hint="{step}",
        step="detach DEVICE, or rename the file on it",
        actor=Actor.HOST,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
    )
    OTHER_BYTES = Row(
        "other-bytes",
        "GRUB takes another second stage or grub.cfg than this guest's, on the same file system: "
        "a link at the top still leads to the root before a snapshot took its place, or a file is "
        "mounted over the guest's.",
        effect=Effect.MAY_END,
        hint="{step}",
        step="point the link at the top of the file system to this guest's /boot",
    )
    UUID_TWICE = Row(
        "uuid-twice",
        "Another disk has the UUID of the file system of /boot, and GRUB takes the one that is "
        "listed first.",
        effect=Effect.ENDS,
        hint="{step}",
        step="give one another UUID (tune2fs -U random, xfs_admin -U generate), or detach it",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )


class BootFsProblem(ProblemCode):
    """Whether GRUB reads the file system of /boot."""

    UNREADABLE = Row(
        "boot-file-system-unreadable",
        "The guest's own GRUB can't read /boot's file system, or is too old for a feature of it.",
        effect=Effect.ENDS,
        console="no such device: ",
        hint="{step}",
        step="put /boot on a file system made without that feature, or install a newer GRUB",
        actor=Actor.GUEST,
    )
    NEWER_THAN_HOST = Row(
        "boot-file-system-newer-than-host",
        "A feature of /boot's file system is newer than the GRUB that a host may start.",
        console="no such device: ",
        hint="ask the host's admin whether stage 1 is GRUB {readers} or later",
        actor=Actor.HOST,
        severity=Severity.WARNING,
        certainty=Certainty.UNKNOWN,
    )


class RootProblem(ProblemCode):
    """What is wrong with the root file system that an entry names."""

    NONE = ending(
        "root-none",
        "An entry names no root file system.",
        "No root device specified. Boot arguments must include a root= parameter.",
        "add root= to the entry where it is made (/etc/default/grub, /etc/grub.d), then: "
        "update-grub",
    )
    OF_BUILDER = Row(
        "root-of-builder",
        "An entry's root= names a disk of the machine that built the image.",
        effect=Effect.ENDS,
        console=_NO_ROOT,
        hint="{step}",
        step="make the menu again: update-grub",
        actor=Actor.GUEST,
    )
    MISSING = ending(
        "root-missing",
        "No disk of the guest is what an entry's root= names.",
        _NO_ROOT,
        "{step}",
        step="correct root= in /etc/default/grub if it is there, then: update-grub",
    )
    OF_ANOTHER_BUS = Row(
        "root-of-another-bus",
        "An entry's root= names a disk of virtio, SCSI, IDE or NVMe, as before a conversion: the "
        "disks of a PV or PVH guest are xvd*.",
        effect=Effect.ENDS,
        console=_NO_ROOT,
        hint="{step}",
        step="make the menu again: update-grub",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    NOT_A_PATH = ending(
        "root-not-a-path",
        "An entry's root= names a disk without /dev/ before it.",
        "Failed to mount {root} as root file system.",
        "{step}",
        step="put /dev/ before it in /etc/default/grub if it is there, then: update-grub",
    )
    NO_FILES = ending(
        "root-no-file-system",
        "An entry's root= names a disk that has no file system of its own: swap, a disk with "
        "partitions, a member of a volume group, of a RAID or of LUKS.",
        "Failed to mount {device} as root file system.",
        "{step}",
        step="correct root= in /etc/default/grub if it is there, then: update-grub",
    )
    NO_SUBVOLUME = ending(
        "root-subvolume-missing",
        "An entry's rootflags=subvol= names a subvolume that the root's btrfs does not have.",
        "Failed to mount {device} as root file system.",
        "{step}",
        step="correct rootflags= in /etc/default/grub if it is there, then: update-grub",
    )
    NO_SYSTEM = ending(
        "root-without-system",
        "The file system that the default entry's root= names has no system on it, as after two "
        "disks have changed places.",
        "Target filesystem doesn't have requested {init}.",
        "{step}",
        step="correct root= in /etc/default/grub if it is there, then: update-grub",
        certainty=Certainty.LIKELY,
    )
    TYPE_DIFFERS = ending(
        "root-type-differs",
        "An entry's rootfstype= names another type than its root file system has.",
        "Failed to mount {device} as root file system.",
        "{step}",
        step="correct rootfstype= in /etc/default/grub if it is there, then: update-grub",
    )
    NO_INIT = ending(
        "root-without-init",
        "The root file system has no /sbin/init, as after systemd-sysv was removed, or an empty "
        "one, as after a power cut: a shell or nothing is started in its place.",
        "Target filesystem doesn't have requested {init}.",
        "apt install --reinstall systemd systemd-sysv",
    )
    ENDS_IN_SHELL = ending(
        "boot-ends-in-shell",
        "The default entry's words for Linux (single, break, init=, systemd.unit=) end its boot in "
        "a shell on the console.",
        "{words}",
        "{step}",
        step="remove that word from /etc/default/grub if it is there, then: update-grub",
    )
    RESUME_MISSING = Row(
        "resume-missing",
        "The disk to resume from is not there; the boot waits for it, and goes on.",
        console="Gave up waiting for suspend/resume device",
        hint="remove {resume} from {place}, then: {step}",
        step="update-grub, or update-initramfs -u",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
    )
    TWICE = ending(
        "root-twice",
        "Two disks have the UUID or the label that root= names, and it is not certain which one is "
        "mounted.",
        "",
        "{step}",
        step="give one another UUID (tune2fs -U random, xfs_admin -U generate), or detach it",
        certainty=Certainty.LIKELY,
    )


class FstabProblem(ProblemCode):
    """What the booted system waits for or mounts by /etc/fstab."""

    DISK_MISSING = Row(
        "fstab-disk-missing",
        "/etc/fstab mounts a disk that is not there, without nofail: emergency mode.",
        effect=Effect.ENDS,
        console="emergency mode",
        hint="correct that line of /etc/fstab (blkid shows the disks), or give it nofail",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    TYPE_DIFFERS = Row(
        "fstab-type-differs",
        "/etc/fstab mounts a disk as another type than it has, without nofail: emergency mode.",
        effect=Effect.ENDS,
        console="emergency mode",
        hint="correct the type in that line of /etc/fstab (blkid shows it), or give it nofail",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    USR_MISSING = ending(
        "fstab-usr-missing",
        "/etc/fstab mounts /usr from a disk that is not there: the initrd waits for it, whatever "
        "the options are.",
        "ALERT!  {what} does not exist.  Dropping to a shell!",
        "correct the line of /usr in /etc/fstab (blkid shows the disks)",
        certainty=Certainty.LIKELY,
    )
    ROOT_MISSING = Row(
        "fstab-root-missing",
        "/etc/fstab names another file system as / than the one that is mounted there, so / stays "
        "read-only.",
        console="Failed to start systemd-remount-fs.service",
        hint="correct the line of / in /etc/fstab (blkid shows the disks)",
        actor=Actor.GUEST,
        certainty=Certainty.LIKELY,
    )
    SWAP_MISSING = Row(
        "fstab-swap-missing",
        "/etc/fstab names a swap disk that is not there: the boot waits 90 seconds for it.",
        console="Timed out waiting for device",
        hint="correct that line of /etc/fstab (blkid shows the disks), or give it nofail",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
    )


class ConsoleProblem(ProblemCode):
    """Where the words of a boot are seen."""

    ELSEWHERE = Row(
        "console-elsewhere",
        "The boot messages do not go to the guest's console, hvc0: what is said here of the "
        "console may not appear there.",
        hint="make console=hvc0 the last console= in /etc/default/grub, then: update-grub",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
