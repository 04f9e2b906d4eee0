# SPDX-License-Identifier: GPL-3.0-or-later
"""The problems of a guest whose words `tests/xen/long_preflight.py` compares with its console."""

BY_GRUB = {
    "kernel-gone": "kernel-missing",
    "kernel-cut-off": "kernel-truncated",
    "kernel-of-text": "kernel-invalid",
    "kernel-lzo": "kernel-compression",
    "kernel-lz4": "kernel-compression",
    "kernel-without-xen": "kernel-no-notes",
    "initrd-gone": "initrd-missing",
    "menu-gone": "grub-cfg-missing",
    "menu-of-another-file-system": "entry-file-system-missing",
    "hypervisor-is-default": "entry-command-missing",
    "kernel-by-linux16": "entry-command-missing",
    "chainloader-is-default": "entry-command-missing",
    "entry-of-nothing": "entry-starts-nothing",
    "menu-waits": "menu-waits",
    "menu-asks": "menu-asks",
}
"""The code of each damage that GRUB itself meets."""
BY_LINUX = {
    "initrd-of-text": "initrd-invalid",
    "initrd-cut-off": "initrd-damaged",
    "initrd-without-driver": "initrd-lacks-module",
    "root-of-virtio": "root-of-another-bus",
}
"""The code of each damage that Linux or its initrd meets."""
NOT_YET = {"root-of-another-bus"}
"""Of these the test is there, and nobody has seen it pass."""
CODES = frozenset((*BY_GRUB.values(), *BY_LINUX.values())) - NOT_YET
