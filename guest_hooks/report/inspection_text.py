# SPDX-License-Identifier: GPL-3.0-or-later
"""What `inspect` shows a person of one file."""

from guest_hooks.formats.bzimage import GRUB_XEN_UNPACKS, ImageFormat
from guest_hooks.formats.inspection import Inspection, Kernel
from guest_hooks.report.layout import Kind, Style
from guest_hooks.report.problem_lines import problems
from guest_hooks.sizes import size
from guest_hooks.targets import MACHINES


def inspection_text(found: Inspection, style: Style) -> list[str]:
    """What `inspect` shows a person of one file."""
    stage = found.stage
    path = style.paint(found.path, Kind.NAME)
    if found.kernel is not None:
        return _kernel_text(path, found.kernel, style)
    if stage is None:
        why = found.unreadable.message if found.unreadable else "nothing is known of it"
        return [f"{path}: no second stage: {why}"]
    kind = (
        "a second stage behind a Linux header (bridge)"
        if found.is_bridge
        else "a second stage"
        if found.fits
        else "an ELF file"
    )
    machine = MACHINES.get(stage.machine, str(stage.machine))
    lines = [f"{path}: {kind}, ELF{stage.elf_class}, {machine}, {size(found.size)}"]
    if stage.core:
        names = [module.name for module in stage.core.modules]
        lines.append(
            f"  GRUB {stage.grub_version or 'of unknown version'}, {len(names)} modules inside"
        )
        lines += [f"  looks for: {line.strip()}" for line in stage.core.config.splitlines()]
        lines += [] if stage.core.config else [f"  prefix: {stage.core.prefix}"]
        if style.verbose:
            lines.append(f"  modules: {' '.join(sorted(names))}")
    if style.verbose:
        lines += [f"  note {note.name}: {note.value!r}" for note in stage.notes]
    lines.append(
        f"  may serve: {style.paint(', '.join(found.fits), Kind.GOOD)}"
        if found.fits
        else style.paint("  may serve no target", Kind.BAD)
    )
    if not found.fits:
        for name, found_in in found.problems.items():
            lines += [f"  for {name}:", *problems(found_in, style, set(), indent=4)]
    return lines


def _kernel_text(path: str, kernel: Kernel, style: Style) -> list[str]:
    image = kernel.image
    release = f" {kernel.release}" if kernel.release else ""
    lines = [
        (
            f"{path}: a Linux kernel{release}, {image.bits}-bit {image.format}, packed with"
            f" {image.compression}"
        )
    ]
    if image.is_truncated:
        lines.append(
            style.paint(
                f"  cut off: {size(image.size)} of at least {size(image.needed_size)}",
                Kind.BAD,
            )
        )
    lines += [f"  note {name}: {value!r}" for name, value in kernel.notes] if style.verbose else []
    if kernel.unread is not None:
        return [*lines, *problems([kernel.unread], style, set(), indent=2)]
    starts = [
        mode
        for mode, note in (("PV", "ENTRY"), ("PVH", "PHYS32_ENTRY"))
        if note in dict(kernel.notes)
    ]
    lines.append(f"  its notes let it start as: {', '.join(starts) or 'no Xen guest'}")
    if image.format is not ImageFormat.BZIMAGE:
        lines.append("  GRUB starts it as PV alone: as PVH it takes bzImages")
    elif image.compression not in GRUB_XEN_UNPACKS:
        lines.append(f"  GRUB can't unpack it as PV ({image.compression}): there it needs a copy")
    if kernel.source:
        lines.append(f"  a copy for PV of the kernel with SHA-256 {kernel.source}")
    return lines
