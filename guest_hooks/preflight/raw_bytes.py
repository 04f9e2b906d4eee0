# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GRUB, which reads a file system from its top, comes to the guest's own boot files."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from guest_hooks.machine import block_devices, libc
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run
from guest_hooks.model import BootFilesystem
from guest_hooks.preflight.links import stage1


def relinks(
    root: Root, boot: BootFilesystem, own: Sequence[str], here: Iterable[str], *, run: Run
) -> dict[str, str]:
    """Of the paths on the guest's own file systems, those that are not the guest's own files for
    GRUB, which comes to them from the top, by links that may lead elsewhere.
    """
    if stage1.is_usual(boot):
        return {}
    found = {}
    for path in here:
        name = f"/boot/{'/'.join(path.split('/')[-2:])}"
        if _differs(root, name, own, path, run):
            _write_out(root)  # what was written a moment ago is not on the disk yet
            if _differs(root, name, own, path, run):
                found[path] = stage1.relink(boot, path)
    return found


def _differs(root: Root, name: str, own: Sequence[str], path: str, run: Run) -> bool:
    """Whether GRUB reads at `path` other bytes than the guest at `name`; what it can't read, or
    the guest can't, is not known to differ.
    """
    theirs = next(
        (data for device in own if (data := block_devices.content(device, path, run=run))), None
    )
    try:
        return theirs is not None and theirs != root.read(name)
    except FileNotFoundError:
        return True
    except (OSError, NotRegularError):
        return False


def _write_out(root: Root) -> None:
    with suppress(OSError), closing(root.open_dir("/boot")) as fd:
        libc.syncfs(fd)
