# SPDX-License-Identifier: GPL-3.0-or-later
"""What this guest is repaired with: what makes its menu and its initial RAM disks."""

from collections.abc import Mapping

from guest_hooks.config import Config, PvKernels
from guest_hooks.formats import grub_cfg
from guest_hooks.machine.root import Root
from guest_hooks.model import State, Status
from guest_hooks.paths import GRUB_CFG, GRUB_DIR
from guest_hooks.preflight.steps import SETTINGS, InitrdMaker, Steps

SCRIPTS = "/etc/grub.d"
KERNEL_NAMES = ("vmlinuz-", "kernel-")
MAX_FILE = 128 << 10
MOST_FILES = 100
"""In one directory; Debian has a dozen."""
GRUBS_OWN = frozenset(
    "00_header 05_debian_theme 10_linux 20_linux_xen 25_bli 30_os-prober 30_uefi-firmware"
    " 41_custom".split()
)
"""What they write for this guest or that they take from elsewhere."""


def steps(root: Root, status: Status, config: Config, saved: Mapping[str, str]) -> Steps:
    """How this guest is repaired, by what is installed in it; `saved` is in grubenv."""
    menu = status.grub_cfg
    return Steps(
        is_menu_ours=config.update_grub
        and menu is not None
        and menu.state not in (State.CURRENT, State.UNKNOWN),
        is_by_hand=grub_cfg.is_by_hand(root.content(GRUB_CFG) or b""),
        maker=initrd_maker(root),
        bits=status.guest.bits,
        has_kernels=any(name.startswith(KERNEL_NAMES) for name in root.names("/boot")),
        sources=_menu_sources(root),
        saved=saved,
        copied=frozenset(
            kernel.path
            for kernel in status.kernels
            if kernel.copy is not None and kernel.copy.state is State.CURRENT
        ),
        makes_copies=config.pv_kernels is not PvKernels.NEVER,
    )


def initrd_maker(root: Root) -> InitrdMaker:
    """What makes the initial RAM disks of this guest, by what is installed in it."""
    by_dracut = root.exists("/usr/bin/dracut") and not root.exists("/usr/sbin/update-initramfs")
    return InitrdMaker.DRACUT if by_dracut else InitrdMaker.INITRAMFS_TOOLS


def _menu_sources(root: Root) -> dict[str, str]:
    """The admin's files that decide what is in the menu: their texts by path."""
    paths = (
        f"{GRUB_DIR}/custom.cfg",
        SETTINGS,
        *(
            f"{directory}/{name}"
            for directory in (f"{SETTINGS}.d", SCRIPTS)
            for name in root.names(directory)[:MOST_FILES]
            if name not in GRUBS_OWN
        ),
    )
    texts = {path: _code(root.read_text(path, limit=MAX_FILE) or "") for path in paths}
    return {path: text for path, text in texts.items() if text}


def _code(text: str) -> str:
    """`text` without the lines that are comments of a shell's."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
