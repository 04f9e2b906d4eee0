# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair service watches."""

import os

from guest_hooks.config import LOCAL_DIR, VENDOR_DIR
from guest_hooks.paths import BOOT, BOOT_XEN, GRUB_DIR
from guest_hooks.targets import TARGETS

GRUB_LIB = "/usr/lib/grub"


DIRECTORIES = (
    *(BOOT, BOOT_XEN, GRUB_DIR, GRUB_LIB),
    *(target.grub_dir for target in TARGETS.values()),
    *(target.lib_dir for target in TARGETS.values()),
    *(os.path.dirname(LOCAL_DIR), LOCAL_DIR, VENDOR_DIR),
)


MOUNTED = (BOOT, BOOT_XEN, GRUB_DIR, GRUB_LIB)
