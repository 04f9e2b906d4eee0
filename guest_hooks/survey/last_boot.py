# SPDX-License-Identifier: GPL-3.0-or-later
"""By which GRUB this boot came, and whether it is the one that this guest is prepared for."""

import re
from collections.abc import Sequence

from guest_hooks.formats import boot_provenance
from guest_hooks.machine.root import Root
from guest_hooks.model import LastBoot, Mode, Problem, State, TargetStatus
from guest_hooks.paths import BOOT_XEN, GRUB_CFG
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.targets import PLATFORMS, TARGETS

CMDLINE = "/proc/cmdline"
KERNEL_STATISTICS = "/proc/stat"
NEVER = float("inf")
_USABLE = (State.CURRENT, State.STALE)
_HINTS = {
    Mode.PV: (
        "have the host start a stage 1 that looks for it: Debian's, or one made by"
        " xen-guest-bootloader stage1 build"
    ),
    Mode.PVH: "look whether grub.cfg hands over to it: xen-guest-bootloader preflight",
}


def read(root: Root) -> LastBoot:
    """By which GRUB this boot came, as far as the kernel's command line tells."""
    return boot_provenance.read(root.read_text(CMDLINE) or "")


def problems(root: Root, boot: LastBoot, targets: Sequence[TargetStatus]) -> tuple[Problem, ...]:
    """That this boot came by stage 1 alone, though a second stage of its platform stood ready
    before.
    """
    if boot.via != "stage-1":
        return ()
    mode = PLATFORMS[boot.platform]
    started = _started(root)
    return tuple(
        Problem.of(
            SecondStageProblem.NOT_BOOTED_BY,
            f"this boot used the host's GRUB alone, although {target.path} was there",
            step=_HINTS[mode],
        )
        for target in targets
        if target.required and TARGETS[target.target].mode is mode and _made(root, target) < started
    )


def _made(root: Root, target: TargetStatus) -> float:
    """When the last of what stage 1 needs to come to this second stage was written; never,
    where something is missing.
    """
    bridge = TARGETS[target.target].bridge
    first = f"{BOOT_XEN}/{bridge}" if bridge else target.path
    if {file.path: file.state for file in target.files}.get(first) not in _USABLE:
        return NEVER
    paths = (first, GRUB_CFG) if bridge else (first,)
    return max(
        status.st_mtime if (status := root.stat(path)) is not None else NEVER for path in paths
    )


def _started(root: Root) -> float:
    """When this kernel started, as a time of the epoch; `NEVER` where that can't be told."""
    found = re.search(r"^btime (\d+)$", root.read_text(KERNEL_STATISTICS) or "", re.MULTILINE)
    return float(found[1]) if found else NEVER
