# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of this guest, how each starts as PV and as PVH, and the copies for PV.

GRUB can't unpack every kernel for a PV guest: see `compression.GRUB_XEN_UNPACKS`. A sync keeps a
copy that it can, and a script in /etc/grub.d lets a PV boot start that: see `SCRIPT`.
"""

import os
import re
from collections.abc import Mapping, Sequence

from guest_hooks.boot_images import KernelFacts
from guest_hooks.config import Config, PvKernels
from guest_hooks.formats.compression import GRUB_XEN_UNPACKS, Compression
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.model import FileStatus, KernelStatus, Problem, Severity, Start
from guest_hooks.paths import BOOT_XEN
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.row import State
from guest_hooks.survey import kernel_images
from guest_hooks.targets import pv_kernel

SCRIPT = "/etc/grub.d/99_xen_pv_kernels"
TARGET = "x86_64-xen"
"""The target whose GRUB starts them; a 32-bit kernel for PV is older than any that needs a copy."""
_COPY = re.compile(r"vmlinux-(.+)\.gz")
_KERNEL = re.compile(r"(?:vmlinuz|kernel)-(.+)")


def is_wanted(config: Config, names: Sequence[str]) -> bool:
    """Whether copies are kept in a guest with the targets `names`."""
    match config.pv_kernels:
        case PvKernels.AUTO:
            return TARGET in names
        case PvKernels.ALWAYS:
            return True
        case PvKernels.NEVER:
            return False


def survey(
    root: Root, config: Config, targets: Mapping[str, bool], memory: Memory
) -> tuple[KernelStatus, ...]:
    """The kernels in /boot, the newest first; `targets` are the guest's, and whether required."""
    wanted = is_wanted(config, tuple(targets))
    severity = Severity.ERROR if targets.get(TARGET) else Severity.WARNING
    found = []
    for path in by_version(root).values():
        facts = memory.kernel(path)
        if facts is None:
            continue
        copy = copy_of(path)
        copied = memory.kernel(copy) if wanted and (facts.fault or _needs_copy(facts)) else None
        found.append(_status(path, facts, copied, severity, wanted=wanted))
    return tuple(sorted(found, key=lambda kernel: version_key(kernel.version), reverse=True))


def by_version(root: Root) -> dict[str, str]:
    """The kernel in /boot of each version; of two, the one that 10_linux lists first."""
    paths = [path for path in kernel_images.paths(root) if os.path.dirname(path) == "/boot"]
    return {version_of(path): path for path in reversed(paths)}


def version_of(path: str) -> str:
    """The version in the name of a kernel in /boot, or of a copy. No two `vmlinuz-*` share it, as
    they may what 10_linux takes for their version (of vmlinuz-6.1 and vmlinuz-lts-6.1).
    """
    name = os.path.basename(path)
    found = _COPY.fullmatch(name) or _KERNEL.fullmatch(name)
    return found[1] if found else ""


def copy_of(path: str) -> str:
    """Where the copy of the kernel at `path` is kept."""
    return pv_kernel(version_of(path))


def left_over(root: Root, keep: Sequence[str], memory: Memory) -> tuple[str, ...]:
    """The copies that are there beside those in `keep`; no file that a sync did not make."""
    found = [name for name in root.names(BOOT_XEN) if _COPY.fullmatch(name)]
    names = found[: kernel_images.MOST_KERNELS]
    paths = (path for name in names if (path := f"{BOOT_XEN}/{name}") not in keep)
    return tuple(path for path in paths if (facts := memory.kernel(path)) and facts.source)


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts versions as `sort -V`, with which 10_linux orders the menu, sorts Debian's."""
    parts = re.findall(r"\d+|~|[^\d~]+", version)
    return tuple(
        (1, int(part), "") if part.isdigit() else (-1 if part == "~" else 0, 0, part)
        for part in parts
    )


def _needs_copy(facts: KernelFacts) -> bool:
    """Whether GRUB can't unpack this kernel for PV, and it may run as PV."""
    if facts.fault or not facts.is_bzimage or not facts.sha256:
        return False
    return bool(facts.unread) or _can_be_pv(facts)


def _can_be_pv(facts: KernelFacts) -> bool:
    return facts.has_entry and facts.bits == 64 and facts.loader in ("", "generic")


def _status(
    path: str, facts: KernelFacts, copied: KernelFacts | None, severity: Severity, *, wanted: bool
) -> KernelStatus:
    file: FileStatus | None = None
    problems: tuple[Problem, ...] = ()
    code = _fault(facts, copied)
    if wanted and (_needs_copy(facts) or code is None):
        state = code.state if code else State.CURRENT
        file = FileStatus(path=copy_of(path), state=state)
        problems = (_problem(path, facts, copied, code, severity),) if code else ()
    return KernelStatus(
        path=path,
        version=version_of(path),
        compression=facts.compression,
        pv=_as_pv(facts, copied),
        pvh=_as_pvh(facts),
        copy=file,
        problems=problems,
    )


def _fault(facts: KernelFacts, copied: KernelFacts | None) -> PvKernelProblem | None:
    """What is wrong with a copy that is wanted; of a damaged kernel any whole one is right, for a
    PV boot starts that.
    """
    if copied is None:
        return PvKernelProblem.MISSING
    if copied.fault or not _can_be_pv(copied) or not copied.source:
        return PvKernelProblem.DAMAGED
    is_stale = copied.source != facts.sha256 and not facts.fault
    return PvKernelProblem.STALE if is_stale else None


def _problem(
    path: str,
    facts: KernelFacts,
    copied: KernelFacts | None,
    code: PvKernelProblem,
    severity: Severity,
) -> Problem:
    copy = copy_of(path)
    packed = f"{path} is packed with {facts.compression}, which GRUB can't unpack for a PV guest"
    match code:
        case PvKernelProblem.STALE:
            message = f"{copy} was made of another {path} than the one that is there now"
        case PvKernelProblem.DAMAGED:
            cause = copied.cause if copied and copied.cause else "it is no copy of a kernel for PV"
            message = f"{packed}, and its copy {copy} is damaged: {cause}"
        case _:
            message = f"{packed}, and there is no copy {copy}"
    return Problem.of(code, message, severity=severity)


def _as_pv(facts: KernelFacts, copied: KernelFacts | None) -> Start:
    if copied is not None and not copied.fault and _can_be_pv(copied):
        return Start.COPY
    if facts.fault or facts.sha256:
        return Start.NOT
    if facts.unread or not facts.compression:
        return Start.UNKNOWN
    unpacks = Compression(facts.compression) in GRUB_XEN_UNPACKS
    return Start.ITSELF if unpacks and _can_be_pv(facts) else Start.NOT


def _as_pvh(facts: KernelFacts) -> Start:
    if facts.fault or (facts.compression and not facts.is_bzimage):
        return Start.NOT
    if facts.unread or not facts.compression:
        return Start.UNKNOWN
    return Start.ITSELF if facts.has_phys32_entry else Start.NOT
