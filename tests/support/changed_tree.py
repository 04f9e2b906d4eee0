# SPDX-License-Identifier: GPL-3.0-or-later
"""What an admin, or an upgrade, changes in a tree."""

import shutil
import tarfile

from guest_hooks.targets import TARGETS
from tests.support.debian_tree import Kind, Suite, tarball
from tests.support.outside_guest import OutsideGuest


def configure(tree: OutsideGuest, text: str) -> None:
    """Let `text` be the admin's configuration."""
    path = tree.path("/etc/xen-guest-bootloader/config.toml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def install_grub(tree: OutsideGuest, suite: Suite = Suite.TRIXIE) -> None:
    """What another version of grub-xen-bin alone brings: other modules in /usr/lib/grub."""
    for name in TARGETS:
        shutil.rmtree(tree.path(f"/usr/lib/grub/{name}"))
    with tarfile.open(tarball(suite, Kind.MINIMAL)) as archive:
        wanted = tuple(f"./usr/lib/grub/{name}/" for name in TARGETS)
        ours = [member for member in archive if member.name.startswith(wanted)]
        archive.extractall(tree.top, ours)  # noqa: S202 - our own
