# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the copies of kernels that GRUB starts as PV, see `formats.pv_kernel`."""

from guest_hooks.problems.row import ProblemCode, Row


class PvKernelProblem(ProblemCode):
    """What `status` finds of the copy in /boot/xen of a kernel that GRUB can't unpack for PV."""

    UNFIT = Row(
        "pv-kernel-unfit",
        "The kernel can't run as a 64-bit PV guest, and so no copy for PV is made of it.",
        hint="boot a kernel built with CONFIG_XEN_PV, such as linux-image-amd64",
    )
