# SPDX-License-Identifier: GPL-3.0-or-later
"""By which GRUB this boot came, as /proc/cmdline tells: grub.cfg names GRUB's platform and
prefix there.
"""

from guest_hooks.model import LastBoot
from guest_hooks.targets import PLATFORMS

PARAMETER = "xen_guest_bootloader.via"
"""Written into the kernel's command line by /etc/default/grub.d/xen-guest-bootloader.cfg, as
`PLATFORM:PREFIX`.
"""

MEMDISK = "(memdisk)"
"""Where a host's image has its prefix; a second stage has its own on a disk."""


def read(cmdline: str) -> LastBoot:
    """By which GRUB the kernel with the command line `cmdline` was started.

    `unknown` where the parameter is missing, was filled in by no GRUB (pygrub copies it as it
    stands), or names a platform that has no second stage. The last of several parameters counts, as
    it does for the kernel.
    """
    values = [
        word.partition("=")[2] for word in cmdline.split() if word.startswith(f"{PARAMETER}=")
    ]
    platform, colon, prefix = values[-1].partition(":") if values else ("", "", "")
    if not colon or not platform or "$" in platform + prefix:
        return LastBoot()
    via = "unknown"
    if platform in PLATFORMS and prefix.startswith(MEMDISK):
        via = "stage-1"
    elif platform in PLATFORMS and prefix.startswith("("):
        via = "second-stage"
    return LastBoot(via=via, prefix=prefix, platform=platform)
