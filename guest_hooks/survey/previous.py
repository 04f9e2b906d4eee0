# SPDX-License-Identifier: GPL-3.0-or-later
"""The second stages that were kept when others took their place, for a rollback."""

from collections.abc import Collection

from guest_hooks.errors import FormatError
from guest_hooks.formats import second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import receipts
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass
from guest_hooks.targets import TARGETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """One of them: its target and where it would go, its GRUB (empty: not known), and when it was
    put aside, in seconds since the epoch.
    """

    target: str
    path: str
    sha256: str
    size: int
    grub_version: str
    kept_at: float


def previous(root: Root, names: Collection[str] = ()) -> tuple[Previous, ...]:
    """What is kept for the targets `names`, or for all."""
    found = []
    for name, target in TARGETS.items():
        core = receipts.load_previous(root, name) if not names or name in names else None
        status = root.stat(receipts.previous_path(name))
        if core is not None and status is not None:
            found.append(
                Previous(
                    target=name,
                    path=target.path(target.arches[0]),
                    sha256=sha256(core),
                    size=len(core),
                    grub_version=_version(core),
                    kept_at=status.st_mtime,
                )
            )
    return tuple(found)


def _version(core: bytes) -> str:
    try:
        return second_stage.read(core).grub_version
    except FormatError:
        return ""
