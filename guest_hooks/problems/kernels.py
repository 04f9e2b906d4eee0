# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a kernel and with an initial RAM disk."""

from guest_hooks.problems.row import Actor, Certainty, ProblemCode, Row, Severity, ending

_REINSTALL = (
    "boot another kernel from the menu, and install this one again: "
    "apt install --reinstall {packages}"
)
_XEN_KERNEL = (
    "boot a kernel built with CONFIG_XEN_PV, such as {package}, or have the host start this guest "
    "as PVH"
)
_PVH_KERNEL = "boot a kernel built with CONFIG_XEN_PVH, such as {package}"
_INITRD = "make it again: {make}"
_NO_ROOT = "ALERT!  {root} does not exist.  Dropping to a shell!"
_PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs"


class KernelProblem(ProblemCode):
    """What keeps a kernel of the menu from starting."""

    MISSING = ending(
        "kernel-missing",
        "A kernel that the menu names is not there.",
        "error: file `{path}' not found.",
        "{step}",
        step="make the menu again: xen-guest-bootloader sync",
    )
    INVALID = ending(
        "kernel-invalid",
        "The file is no Linux kernel.",
        "error: invalid magic number.",
        _REINSTALL,
    )
    TRUNCATED = ending(
        "kernel-truncated", "The kernel is cut off.", "premature end of file", _REINSTALL
    )
    UNREADABLE = ending(
        "kernel-unreadable",
        "The kernel can't be read, or is no regular file.",
        "error: not a regular file.",
        _REINSTALL,
    )
    DAMAGED = ending(
        "kernel-damaged", "The kernel's bytes are damaged.", "-- System halted", _REINSTALL
    )
    COMPRESSION = ending(
        "kernel-compression",
        "The kernel is packed with what GRUB can't unpack for a PV guest (zstd, LZ4, LZO).",
        "error: not xen image.",
        '{step}; or have the host start this guest as PVH (type="pvh")',
        step="make a copy that it can: xen-guest-bootloader sync",
    )
    WIDTH = ending(
        "kernel-width",
        "A PV guest's kernel has another width than its second stage.",
        "incompatible architecture",
        "boot a kernel of {widths} bits",
    )
    NO_PV = ending("kernel-no-pv", "The kernel can't run as a PV guest.", "", _XEN_KERNEL)
    NO_NOTES = ending(
        "kernel-no-notes",
        "The kernel has no Xen notes, and can't run under Xen.",
        "no XEN note",
        _XEN_KERNEL,
    )
    LOADER = ending(
        "kernel-loader",
        "The kernel asks for another loader than the generic one.",
        "invalid loader",
        _XEN_KERNEL,
    )
    NOT_BZIMAGE = ending(
        "kernel-not-bzimage",
        "The kernel is a bare ELF file, and GRUB's PVH loader starts only bzImages.",
        "error: invalid magic number.",
        "boot a kernel as Debian packs it: /boot/vmlinuz-{release}",
    )
    PROTOCOL = ending(
        "kernel-protocol",
        "The kernel can't be started by the 32-bit boot protocol.",
        "32-bit boot",
        "boot a newer kernel, such as {package}",
    )
    NO_PVH = ending(
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
        hint="apt install --reinstall {packages}",
        actor=Actor.GUEST,
    )


class InitrdProblem(ProblemCode):
    """What keeps an initial RAM disk from leading to the root file system."""

    MISSING = ending(
        "initrd-missing",
        "An initial RAM disk that the menu names is not there.",
        "error: file `{path}' not found.",
        _INITRD,
    )
    EMPTY = ending("initrd-empty", "The initial RAM disk is empty.", _PANIC, _INITRD)
    INVALID = ending("initrd-invalid", "The file is no initial RAM disk.", _PANIC, _INITRD)
    TRUNCATED = ending("initrd-truncated", "The initial RAM disk is cut off.", _PANIC, _INITRD)
    DAMAGED = ending(
        "initrd-damaged",
        "The initial RAM disk is damaged.",
        "Initramfs unpacking failed",
        _INITRD,
    )
    NONE = ending(
        "initrd-none",
        "A kernel that needs an initial RAM disk is started without one.",
        _PANIC,
        "make one: {make}, then: update-grub",
    )
    COMPRESSION = ending(
        "initrd-compression",
        "The initial RAM disk is packed in a way that the kernel can't unpack.",
        _PANIC,
        "set COMPRESS in /etc/initramfs-tools/initramfs.conf, then " + _INITRD,
    )
    OF_ANOTHER_KERNEL = ending(
        "initrd-of-another-kernel",
        "The initial RAM disk was made for another kernel.",
        _NO_ROOT,
        _INITRD,
    )
    LACKS_MODULE = ending(
        "initrd-lacks-module",
        "The initial RAM disk lacks a driver of the root file system.",
        _NO_ROOT,
        _INITRD,
    )
    TOO_BIG = Row(
        "initrd-too-big",
        "The initial RAM disk, packed and unpacked, is more than the guest's memory. GRUB has no "
        "room for one whose file is larger; one that only grows larger unpacked may boot.",
        console="out of memory",
        hint="set MODULES=dep in /etc/initramfs-tools/initramfs.conf, then: update-initramfs -u; "
        "or give the guest more memory",
        actor=Actor.GUEST,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
    )
    LACKS_PROGRAM = ending(
        "initrd-lacks-program",
        "The initial RAM disk lacks a program that sets the root file system up.",
        _NO_ROOT,
        _INITRD,
    )
