# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the bytes of a second stage, whatever guest it is for.

Xen's and GRUB's rules for these files are in `formats.second_stage_rules`. Stage 1 refuses most of
such files and reads grub.cfg itself; those that it starts all the same end the boot.
"""

from guest_hooks.problems.row import (
    Actor,
    Certainty,
    Effect,
    ProblemCode,
    Row,
    SecondStageCode,
    State,
)

REPLACE = "replace it with: xen-guest-bootloader sync"
AGAIN = "install the kernel again: apt install --reinstall {packages}"
_REFUSED = "error: not xen image."
_OTHER_ARCH = "incompatible architecture"


def _refused(code: str, meaning: str, console: str = _REFUSED, sure: bool = False) -> Row:
    """A file that stage 1 refuses."""
    certainty = Certainty.CERTAIN if sure else Certainty.LIKELY
    return Row(
        code,
        meaning,
        effect=Effect.FALLS_BACK,
        console=console,
        hint=REPLACE,
        state=State.INVALID,
        certainty=certainty,
    )


def _fatal(code: str, meaning: str, console: str = "", sure: bool = False) -> Row:
    """A file that stage 1 starts and that ends the boot."""
    certainty = Certainty.CERTAIN if sure else Certainty.LIKELY
    return Row(
        code,
        meaning,
        effect=Effect.ENDS,
        console=console,
        hint=REPLACE,
        state=State.INVALID,
        certainty=certainty,
    )


def _unread(code: str, meaning: str) -> Row:
    """A kernel that can't be read."""
    return Row(code, meaning, effect=Effect.ENDS, hint=AGAIN, actor=Actor.GUEST)


class ImageProblem(SecondStageCode):
    """What `inspect` and `status` find in a file; preflight's names begin with `second-stage-`."""

    NOT_ELF = _refused("not-elf", "The file is no ELF file, or it is empty.")
    ELF_HEADER = _refused("elf-header", "The ELF header, or a table that it names, is damaged.")
    TRUNCATED = _refused("truncated", "The file is cut off.")
    CLASS_MISMATCH = _refused(
        "class-mismatch",
        "The file is 32-bit and the target 64-bit, or the other way round.",
        _OTHER_ARCH,
        sure=True,
    )
    MACHINE_MISMATCH = _refused(
        "machine-mismatch", "The file is for another processor.", _OTHER_ARCH, sure=True
    )
    ENCODING_MISMATCH = _refused("encoding-mismatch", "The file is big-endian.")
    NOT_EXECUTABLE = _refused("not-executable", "The ELF file is not of the type ET_EXEC.")
    NO_LOAD_SEGMENT = _refused("no-load-segment", "The ELF file loads nothing into memory.")
    LOAD_SIZE = _refused("load-size", "A LOAD segment has more bytes in the file than in memory.")
    LOAD_OUT_OF_RANGE = _refused("load-out-of-range", "A LOAD segment ends above 4 GiB.")
    LOAD_OVERLAP = _refused("load-overlap", "Two LOAD segments overlap in memory.")
    LOAD_ADDRESS = _refused(
        "load-address", "GRUB would be loaded at an address where it can't run."
    )
    LOAD_NOT_LOADABLE = _fatal("load-not-loadable", "Xen would not load one of the LOAD segments.")
    NO_XEN_NOTES = _refused("no-xen-notes", "The file has no Xen notes.")
    NOTE_MALFORMED = _refused("note-malformed", "A Xen note can't be read.")
    NOTE_MISSING = _refused("note-missing", "A Xen note that the target needs is missing.")
    NOTE_DUPLICATE = _refused("note-duplicate", "A Xen note occurs more than once.")
    NOTE_SIZE = _refused("note-size", "A Xen note has a wrong size.")
    NOTE_LAYOUT = _refused(
        "note-layout", "A Xen note asks for a memory layout that GRUB does not support."
    )
    NOTE_FEATURES = _refused(
        "note-features", "A Xen note requires a feature that GRUB does not support."
    )
    NOTE_LOADER = _refused("note-loader", "The Xen note LOADER is not `generic'.")
    NOTE_XEN_VERSION = _refused("note-xen-version", "The Xen note XEN_VERSION is not xen-3.0.")
    NOTE_PAE_MODE = _refused(
        "note-pae-mode", "The Xen note PAE_MODE has a value that Xen does not accept."
    )
    NOTE_VIRT_BASE = _refused("note-virt-base", "The Xen note VIRT_BASE names a wrong address.")
    PVH_IMAGE = _refused(
        "pvh-image", "The file is a PVH image, and the target is PV.", _OTHER_ARCH, sure=True
    )
    ENTRY_MISMATCH = _refused("entry-mismatch", "The PVH entry and the ELF entry differ.")
    ENTRY_OUTSIDE = _fatal("entry-outside", "The entry is not inside the code.")
    KERNEL_ZEROED = _fatal(
        "kernel-zeroed", "A part of GRUB's kernel is zeros, as after a power cut.", sure=True
    )
    MODULE_BLOCK = _fatal("module-block", "GRUB's modules in the file are damaged.")
    NO_MODULE_BLOCK = _fatal("no-module-block", "The file holds no GRUB modules.")
    STAGE_1_IMAGE = _fatal(
        "stage-1-image",
        "The file is a host's stage 1: it would start itself again and again.",
        "Welcome to GRUB!",
        sure=True,
    )
    NOT_A_BRIDGE = _refused(
        "not-a-bridge",
        "The file at the PVH bridge's path is no PVH bridge.",
        "error: invalid magic number.",
    )
    BRIDGE_DAMAGED = _fatal("bridge-damaged", "The PVH bridge is damaged.")


class FileProblem(ProblemCode):
    """What `inspect` finds in a kernel; preflight has names of its own for kernels and initrds."""

    NOT_A_KERNEL = _unread("not-a-kernel", "The file is no Linux kernel.")
    CORRUPT = _unread("corrupt", "The compressed data in the kernel are damaged.")
    NO_PAYLOAD = Row(
        "no-payload",
        "The kernel is too old for this program to look into.",
        hint="boot a newer kernel",
        actor=Actor.GUEST,
    )
    UNKNOWN_COMPRESSION = _unread(
        "unknown-compression", "The kernel is packed in a way that this program does not know."
    )
    CANNOT_LOOK_INSIDE = Row(
        "cannot-look-inside",
        "The Python library that unpacks the file is not installed, or takes too much memory.",
        hint="install the library that the message names",
    )
