# SPDX-License-Identifier: GPL-3.0-or-later
"""What `inspect` shows a person of one file."""

from guest_hooks.formats.bzimage import ImageFormat
from guest_hooks.formats.compression import GRUB_XEN_UNPACKS
from guest_hooks.formats.inspection import Inspection, Kernel
from guest_hooks.formats.second_stage import SecondStage
from guest_hooks.report.layout import Kind, Style, block
from guest_hooks.report.problem_lines import problems
from guest_hooks.sizes import size
from guest_hooks.targets import MACHINES


def inspection_text(found: Inspection, style: Style) -> list[str]:
    """What the file is, and what it can serve for."""
    stage = found.stage
    if found.kernel is not None:
        return _kernel_text(found.path, found.kernel, style)
    if stage is None:
        why = found.unreadable.message if found.unreadable else "unknown"
        return _title(found.path, f"no second stage: {why}", style)
    kind = "a second stage" if found.fits else "an ELF file"
    if found.is_bridge:
        kind = "a second stage behind a Linux header (bridge)"
    machine = MACHINES.get(stage.machine, str(stage.machine))
    what = f"{kind}, ELF{stage.elf_class}, {machine}, {size(found.size)}"
    lines = [*_title(found.path, what, style), *_core_text(stage, style)]
    if found.fits:
        return lines + _below(f"fits: {', '.join(found.fits)}", style, Kind.GOOD)
    lines += _below("fits no target", style, Kind.BAD)
    for name, found_in in found.problems.items():
        lines += [*_below(f"for {name}:", style), *problems(found_in, style, set(), indent=4)]
    return lines


def _title(path: str, what: str, style: Style) -> list[str]:
    return block(((path, Kind.NAME), (f": {what}", Kind.PLAIN)), style, indent=0, hang=2)


def _below(words: str, style: Style, kind: Kind = Kind.PLAIN) -> list[str]:
    return block(((words, kind),), style, indent=2, hang=2)


def _core_text(stage: SecondStage, style: Style) -> list[str]:
    rows: list[str] = []
    if stage.core:
        names = [module.name for module in stage.core.modules]
        version = stage.grub_version or "of unknown version"
        rows.append(f"GRUB {version}, {len(names)} modules inside")
        rows += [f"looks for: {line.strip()}" for line in stage.core.config.splitlines()]
        rows += [] if stage.core.config else [f"prefix: {stage.core.prefix}"]
        rows += [f"modules: {' '.join(sorted(names))}"] if style.verbose else []
    rows += [f"note {note.name}: {note.value!r}" for note in stage.notes] if style.verbose else []
    return [line for row in rows for line in _below(row, style)]


def _kernel_text(path: str, kernel: Kernel, style: Style) -> list[str]:
    image = kernel.image
    release = f" {kernel.release}" if kernel.release else ""
    kind = f"a Linux kernel{release}, {image.bits}-bit {image.format}"
    lines = _title(path, f"{kind}, packed with {image.compression}", style)
    if image.is_truncated:
        words = f"cut off: {size(image.size)} of at least {size(image.needed_size)}"
        lines += _below(words, style, Kind.BAD)
    for name, value in kernel.notes if style.verbose else ():
        lines += _below(f"note {name}: {value!r}", style)
    if kernel.unread is not None:
        return [*lines, *problems([kernel.unread], style, set(), indent=2)]
    starts = [
        mode
        for mode, note in (("PV", "ENTRY"), ("PVH", "PHYS32_ENTRY"))
        if note in dict(kernel.notes)
    ]
    rows = [f"its notes let it start as: {', '.join(starts) or 'no Xen guest'}"]
    if image.format is not ImageFormat.BZIMAGE:
        rows.append("GRUB starts it as PV alone: as PVH it takes bzImages")
    elif image.compression not in GRUB_XEN_UNPACKS:
        rows.append(f"GRUB can't unpack it as PV ({image.compression}): there it needs a copy")
    if kernel.source:
        rows.append(f"a copy for PV of the kernel with SHA-256 {kernel.source}")
    return [*lines, *(line for row in rows for line in _below(row, style))]
