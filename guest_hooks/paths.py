# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are in a guest: what more than one package of this program has to find."""

BOOT = "/boot"
BOOT_XEN = f"{BOOT}/xen"
"""Where stage 1 looks (xen docs/misc/x86-xenpv-bootloader)."""
GRUB_DIR = f"{BOOT}/grub"
GRUB_CFG = f"{GRUB_DIR}/grub.cfg"
GRUBENV = f"{GRUB_DIR}/grubenv"
MENU_LST = f"{GRUB_DIR}/menu.lst"
"""GRUB Legacy's menu."""
DIVERTED = "/usr/sbin/grub-install.distrib"
"""Where this package's diversion keeps Debian's grub-install
(debian/xen-guest-bootloader.postinst).
"""
STATE_DIR = "/var/lib/xen-guest-bootloader"
RECEIPT = f"{STATE_DIR}/receipt.json"
PREVIOUS_DIR = f"{STATE_DIR}/previous"
LOCK = f"{STATE_DIR}/lock"
