# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong on the disks that stage 1 searches, with a kernel, an initrd and the root."""

from guest_hooks.problems.row import Actor, Certainty, Effect, ProblemCode, Row, Severity

_REINSTALL = (
    "boot another kernel from the menu, and install this one again: "
    "apt install --reinstall linux-image-{release}"
)
_XEN_KERNEL = (
    "boot a kernel built with CONFIG_XEN_PV, such as {package}, or have the host start this guest "
    "as PVH"
)
_PVH_KERNEL = "boot a kernel built with CONFIG_XEN_PVH, such as {package}"
_INITRD = "make it again: {make}"
_NO_ROOT = "ALERT!  {root} does not exist.  Dropping to a shell!"
_PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs"


def _ends(
    code: str,
    meaning: str,
    console: str,
    hint: str,
    *,
    step: str = "",
    certainty: Certainty = Certainty.CERTAIN,
) -> Row:
    """What ends the boot and is repaired inside the guest."""
    return Row(
        code,
        meaning,
        effect=Effect.ENDS,
        console=console,
        hint=hint,
        step=step,
        actor=Actor.GUEST,
        certainty=certainty,
    )


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
        "a link at the top still leads to the root before a snapshot took its place.",
        effect=Effect.MAY_END,
        hint="{step}",
        step="lead the link at the top of the file system to this guest's /boot",
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
        "The guest's own GRUB is too old for a feature of /boot's file system.",
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


class KernelProblem(ProblemCode):
    """What keeps a kernel of the menu from starting."""

    MISSING = _ends(
        "kernel-missing",
        "A kernel that the menu names is not there.",
        "error: file `{path}' not found.",
        "{step}",
        step="make the menu again: xen-guest-bootloader sync",
    )
    INVALID = _ends(
        "kernel-invalid",
        "The file is no Linux kernel.",
        "error: invalid magic number.",
        _REINSTALL,
    )
    TRUNCATED = _ends(
        "kernel-truncated", "The kernel is cut off.", "premature end of file", _REINSTALL
    )
    UNREADABLE = _ends(
        "kernel-unreadable", "The kernel can't be read.", "error: invalid magic number.", _REINSTALL
    )
    DAMAGED = _ends(
        "kernel-damaged", "The kernel's bytes are damaged.", "-- System halted", _REINSTALL
    )
    COMPRESSION = _ends(
        "kernel-compression",
        "The kernel is packed with what GRUB can't unpack for a PV guest (zstd, LZ4, LZO).",
        "error: not xen image.",
        "make a copy that it can: xen-guest-bootloader sync; or have the host start this guest as "
        'PVH (type="pvh")',
    )
    WIDTH = _ends(
        "kernel-width",
        "A PV guest's kernel has another width than its second stage.",
        "incompatible architecture",
        "boot a kernel of {widths} bits",
    )
    NO_PV = _ends("kernel-no-pv", "The kernel can't run as a PV guest.", "", _XEN_KERNEL)
    NO_NOTES = _ends(
        "kernel-no-notes",
        "The kernel has no Xen notes, and can't run under Xen.",
        "no XEN note",
        _XEN_KERNEL,
    )
    LOADER = _ends(
        "kernel-loader",
        "The kernel asks for another loader than the generic one.",
        "invalid loader",
        _XEN_KERNEL,
    )
    NOT_BZIMAGE = _ends(
        "kernel-not-bzimage",
        "The kernel is a bare ELF file, and GRUB's PVH loader starts only bzImages.",
        "error: invalid magic number.",
        "boot a kernel as Debian packs it: /boot/vmlinuz-{release}",
    )
    PROTOCOL = _ends(
        "kernel-protocol",
        "The kernel can't be started by the 32-bit boot protocol.",
        "32-bit boot",
        "boot a newer kernel, such as {package}",
    )
    NO_PVH = _ends(
        "kernel-no-pvh",
        "The kernel can't run as a PVH guest.",
        "",
        _PVH_KERNEL,
        certainty=Certainty.LIKELY,
    )
    MODULES_MISSING = Row(
        "kernel-modules-missing",
        "/lib/modules lacks the kernel's modules, the network's among them.",
        console="Failed to start systemd-modules-load.service",
        hint="apt install --reinstall linux-image-{release}",
        actor=Actor.GUEST,
    )


class InitrdProblem(ProblemCode):
    """What keeps an initial RAM disk from leading to the root file system."""

    MISSING = _ends(
        "initrd-missing",
        "An initial RAM disk that the menu names is not there.",
        "error: file `{path}' not found.",
        _INITRD,
    )
    EMPTY = _ends("initrd-empty", "The initial RAM disk is empty.", _PANIC, _INITRD)
    INVALID = _ends("initrd-invalid", "The file is no initial RAM disk.", _PANIC, _INITRD)
    TRUNCATED = _ends("initrd-truncated", "The initial RAM disk is cut off.", _PANIC, _INITRD)
    DAMAGED = _ends(
        "initrd-damaged",
        "The initial RAM disk is damaged.",
        "Initramfs unpacking failed",
        _INITRD,
    )
    NONE = _ends(
        "initrd-none",
        "A kernel that needs an initial RAM disk is started without one.",
        _PANIC,
        "make one: {make}, then: update-grub",
    )
    COMPRESSION = _ends(
        "initrd-compression",
        "The initial RAM disk is packed in a way that the kernel can't unpack.",
        _PANIC,
        "set COMPRESS in /etc/initramfs-tools/initramfs.conf, then " + _INITRD,
    )
    OF_ANOTHER_KERNEL = _ends(
        "initrd-of-another-kernel",
        "The initial RAM disk was made for another kernel.",
        _NO_ROOT,
        _INITRD,
    )
    LACKS_MODULE = _ends(
        "initrd-lacks-module",
        "The initial RAM disk lacks a driver of the root file system.",
        _NO_ROOT,
        _INITRD,
    )
    TOO_BIG = Row(
        "initrd-too-big",
        "The initial RAM disk, packed and unpacked, is more than the guest's memory.",
        console="out of memory",
        hint="set MODULES=dep in /etc/initramfs-tools/initramfs.conf, then: update-initramfs -u; "
        "or give the guest more memory",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
    )
    LACKS_PROGRAM = _ends(
        "initrd-lacks-program",
        "The initial RAM disk lacks a program that sets the root file system up.",
        _NO_ROOT,
        _INITRD,
    )


class RootProblem(ProblemCode):
    """What is wrong with the root file system that an entry names."""

    NONE = _ends(
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
    MISSING = _ends(
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
    TWICE = _ends(
        "root-twice",
        "Two disks have the UUID that root= names, and which is mounted is chance.",
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
        "The boot's words do not go to the guest's console, hvc0: what else is said here of the "
        "console may not be seen there.",
        hint="make console=hvc0 the last console= in /etc/default/grub, then: update-grub",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
    )
