# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GRUB reads the file system of /boot: this guest's own, and the host's. Pure."""

from collections.abc import Sequence

from guest_hooks.formats import fs_features
from guest_hooks.formats.fs_features import OLDEST_HOST, Feature
from guest_hooks.model import BootFilesystem, LastBoot
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.boot import BootFsProblem
from guest_hooks.records import replace

_CAME_BY_GRUB = ("second-stage", "stage-1")
"""How a boot came whose stage 1 has read this file system."""


def findings(
    boot: BootFilesystem,
    features: Sequence[Feature],
    last_boot: LastBoot,
    *,
    is_read: bool = False,
) -> tuple[Finding, ...]:
    """What of the file system, whose `features` these are, a GRUB does not read.

    Nothing is said of a host whose GRUB has read it for the boot that is running. `is_read`: the
    second stages that stand there, of a newer GRUB than the installed one, do.
    """
    if boot.unreadable is not None:
        found = Finding.of(
            BootFsProblem.UNREADABLE,
            link=Link.SECOND_STAGE,
            thing=boot.device,
            message=fs_features.explain(boot),
            step=fs_features.remedy(boot),
        )
        return (replace(found, stops=False, console="") if is_read else found,)
    newer = fs_features.unreadable(features, OLDEST_HOST)
    if not newer or last_boot.via in _CAME_BY_GRUB:
        return ()
    names = ", ".join(feature.name for feature in newer)
    readers = fs_features.readers(newer)
    return (
        Finding.of(
            BootFsProblem.NEWER_THAN_HOST,
            link=Link.STAGE1,
            thing=boot.device,
            message=(
                f"{boot.device}, the file system of /boot, has {names}: a host whose GRUB is older"
                f" than {readers or 'that'} finds nothing on it"
            ),
            readers=readers or "one that reads it",
        ),
    )
