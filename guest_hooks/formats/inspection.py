# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file is: second stage, core image, bridge or neither, and for which targets it may
serve.
"""

import shlex
from collections.abc import Callable, Sequence

from guest_hooks.errors import CodedFormatError, FormatError
from guest_hooks.formats import bzimage, pv_kernel, pvh_bridge, second_stage, xen_notes
from guest_hooks.formats.bzimage import Image, ImageFormat
from guest_hooks.formats.second_stage import SecondStage
from guest_hooks.model import Problem
from guest_hooks.records import dataclass, replace
from guest_hooks.targets import TARGETS, Target

Packages = Callable[[str], Sequence[str]]
"""From a kernel's release to the names of its packages."""


def _usual_packages(release: str) -> Sequence[str]:
    return (f"linux-image-{release}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A Linux kernel: what its head says, and the notes of the vmlinux inside by name; `unread`
    is why there are none. `source` is the SHA-256 of the kernel that a copy for PV names.
    """

    image: Image
    notes: tuple[tuple[str, str | int], ...] = ()
    release: str = ""
    unread: Problem | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One file; `problems` are by target, for every target the file's class and machine belong
    to (for all where none fits).
    """

    path: str
    size: int
    is_bridge: bool
    stage: SecondStage | None
    fits: tuple[str, ...]
    problems: dict[str, tuple[Problem, ...]]
    unreadable: Problem | None = None
    kernel: Kernel | None = None

    @property
    def format(self) -> str:
        """`second-stage` for what a target may be served by, `kernel`, else `unknown`."""
        if self.kernel is not None:
            return "kernel"
        return (
            "second-stage"
            if self.stage is not None and (self.fits or self.stage.core is not None)
            else "unknown"
        )


def inspect(path: str, data: bytes, packages: Packages = _usual_packages) -> Inspection:
    """Inspect `data`, the content of the file called `path`; never raises. `packages` says of which
    packages a kernel of Debian's is.
    """
    is_bridge = pvh_bridge.is_bridge(data)
    core = data[pvh_bridge.CORE_OFFSET :] if is_bridge else data
    damage = pvh_bridge.damage(data) if is_bridge else None
    stage, unreadable = None, damage
    try:
        stage = second_stage.read(core)
    except CodedFormatError as error:
        unreadable = unreadable or Problem.of(error.code, error.message)
    kernel = None if stage is not None and stage.core is not None else _kernel(core, packages)
    near = [target for target in TARGETS.values() if _is_near(stage, target)] or list(
        TARGETS.values()
    )
    problems = {
        target.name: tuple(
            replace(problem, hint=f"make it again: grub-install --target={target.name}")
            for problem in (*((damage,) if damage else ()), *second_stage.problems(core, target))
        )
        for target in near
    }
    return Inspection(
        path=path,
        size=len(data),
        is_bridge=is_bridge,
        stage=stage,
        fits=tuple(name for name, found in problems.items() if not found),
        problems=problems,
        unreadable=unreadable,
        kernel=kernel,
    )


def _kernel(data: bytes, packages: Packages) -> Kernel | None:
    """What `data` is as a Linux kernel; None for anything else, an ELF file that is not Linux
    among it.
    """
    try:
        image = bzimage.parse(data)
    except FormatError:
        return None
    source = pv_kernel.source(data)
    is_packed = image.format is ImageFormat.PACKED_ELF
    try:
        found = bzimage.notes(data, image, to_the_end=is_packed)
    except CodedFormatError as error:
        names = packages(image.release or "VERSION")
        why = Problem.of(error.code, error.message, packages=shlex.join(names))
        unread = replace(why, hint=error.hint or why.hint)
        return (
            Kernel(image=image, release=image.release, unread=unread, source=source)
            if is_packed or image.format is ImageFormat.BZIMAGE
            else None
        )
    if image.format is ImageFormat.ELF and not found.release:
        return None
    notes = tuple(xen_notes.described(number, value) for number, value in found.xen)
    release = image.release or found.release
    return Kernel(image=image, notes=notes, release=release, source=source)


def _is_near(stage: SecondStage | None, target: Target) -> bool:
    return stage is not None and (stage.elf_class, stage.machine) == (
        target.elf_class,
        target.elf_machine,
    )
