# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that a tree's programs are refused: those that none of GRUB's tools makes, and
that reach beyond their cell, or far into the kernel, with no right.
"""

import errno
import struct

REFUSED = {
    # linux/audit.h: AUDIT_ARCH_X86_64, AUDIT_ARCH_I386; then each architecture's numbers
    # (asm/unistd_64.h, asm/unistd_32.h) of add_key, request_key, keyctl: the keys of the host's
    # root belong to whoever is root; unshare, setns, mount, umount2, pivot_root: a user namespace
    # would give capabilities in it, and much of the kernel with them; ptrace, process_vm_readv,
    # process_vm_writev, open_by_handle_at, bpf, perf_event_open, userfaultfd, kexec_load.
    0xC000003E: (248, 249, 250, 272, 308, 165, 166, 155, 101, 310, 311, 304, 321, 298, 323, 246),
    0x40000003: (286, 287, 288, 310, 346, 21, 52, 217, 26, 347, 348, 342, 357, 336, 374, 283),
}


REFUSED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)
"""io_uring_setup to io_uring_register, open_tree to fspick, mount_setattr: numbered alike on
all architectures.
"""


CLONE = {0xC000003E: 56, 0x40000003: 120}


CLONE3 = 435
"""Its flags can't be looked at; the C library takes clone where it is not there."""


CLONE_NEW_ANY = 0x7E020000
"""CLONE_NEWUSER and the namespaces that the cell has of its own (linux/sched.h)."""


X32 = 0x40000000


LOAD, JUMP_EQUAL, JUMP_ANY, JUMP_AT_LEAST, RETURN = (
    0x20,
    0x15,
    0x45,
    0x35,
    0x06,
)  # linux/bpf_common.h


ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000  # linux/seccomp.h


def program() -> bytes:
    """The filter: an array of `struct sock_filter` (linux/filter.h)."""
    instructions = [(LOAD, 0, 0, 4)]  # struct seccomp_data: nr, arch, instruction_pointer, args
    for arch, numbers in REFUSED.items():
        rules = [
            (LOAD, 0, 0, 0),
            (JUMP_AT_LEAST, 0, 1, X32),
            (RETURN, 0, 0, FAIL_WITH | errno.EPERM),
        ]
        for number in (*numbers, *REFUSED_EVERYWHERE):
            rules += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL_WITH | errno.EPERM)]
        rules += [(JUMP_EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, FAIL_WITH | errno.ENOSYS)]
        rules += [(JUMP_EQUAL, 0, 3, CLONE[arch]), (LOAD, 0, 0, 16)]
        rules += [
            (JUMP_ANY, 0, 1, CLONE_NEW_ANY),
            (RETURN, 0, 0, FAIL_WITH | errno.EPERM),
            (RETURN, 0, 0, ALLOW),
        ]
        instructions += [(JUMP_EQUAL, 0, len(rules), arch), *rules]
    instructions.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)
