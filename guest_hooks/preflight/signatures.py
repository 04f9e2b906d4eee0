# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files are signed that a second stage reads which checks signatures: one that was made
with a public key (grub-install --pubkey).

Source: GRUB grub-core/commands/pgp.c: FILE.sig is read for each.
"""

import shlex

from guest_hooks.formats.grub_menu import Boot
from guest_hooks.machine.overlay import Overlay
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight.links import stage1
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.menus import MenuProblem

SIGNATURE = ".sig"


def of_menu(root: Root, boot: BootFilesystem) -> tuple[Finding, ...]:
    """That grub.cfg is not signed; that of an overlay is not, whatever stands beside it."""
    return _missing(root, Link.GRUB_CFG, GRUB_CFG, stage1.menu(boot))


def of_boot(root: Root, boot: BootFilesystem, load: Boot) -> tuple[Finding, ...]:
    """That the kernel or an initrd of the default entry is not signed."""
    named = [(Link.KERNEL, load.kernel), *((Link.INITRD, path) for path in load.initrds)]
    return tuple(
        found
        for link, path in named
        if (name := stage1.in_guest(path, boot)) and root.exists(name)
        for found in _missing(root, link, name, path)
    )


def _missing(root: Root, link: Link, name: str, path: str) -> tuple[Finding, ...]:
    """That the file which the guest has as `name`, and GRUB as `path`, is not signed."""
    is_new = isinstance(root, Overlay) and name in root.over
    if not is_new and root.exists(f"{name}{SIGNATURE}"):
        return ()
    message = f"the second stage checks signatures, and {name} has none: {name}{SIGNATURE}"
    found = Finding.of(
        MenuProblem.UNSIGNED,
        link=link,
        thing=name,
        message=message,
        path=path,
        file=shlex.quote(name),
    )
    return (found,)
