# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file is, as JSON; schema/report.schema.json describes it."""

from typing import Any

from guest_hooks.formats.inspection import Inspection, Kernel
from guest_hooks.report.as_json import SCHEMA, problem_json
from guest_hooks.targets import MACHINES


def inspection_json(found: Inspection) -> dict[str, Any]:
    """What `inspect --json` prints for one file."""
    stage, core, kernel = found.stage, found.stage.core if found.stage else None, found.kernel
    bits = kernel.image.bits if kernel else stage.elf_class if stage else 0
    machine = MACHINES.get(stage.machine, str(stage.machine)) if stage else None
    if kernel:
        machine = "x86_64" if kernel.image.bits == 64 else "i386"
    return {
        "schema": SCHEMA,
        "path": found.path,
        "size": found.size,
        "format": found.format,
        "bridge": found.is_bridge,
        "class": f"ELF{bits}" if bits else None,
        "machine": machine,
        "notes": _notes_json(found),
        "kernel": _kernel_json(found.kernel) if found.kernel else None,
        "prefix": core.prefix if core else "",
        "config": core.config if core else "",
        "fs_uuid": core.fs_uuid if core else "",
        "grub_version": core.grub_version if core else "",
        "modules": [module.name for module in core.modules] if core else [],
        "module_sha256": {module.name: module.sha256 for module in core.modules} if core else {},
        "fits": list(found.fits),
        "problems": [
            {"target": name, **problem_json(problem)}
            for name, row in found.problems.items()
            for problem in row
            if not kernel and (name in found.fits or not found.fits)
        ],
    }


def _notes_json(found: Inspection) -> dict[str, str | int]:
    """The notes by name; a value that is neither text nor number in hex."""
    if found.kernel:
        return dict(found.kernel.notes)
    return {
        note.name: note.value if isinstance(note.value, str | int) else note.value.hex()
        for note in (found.stage.notes if found.stage else ())
    }


def _kernel_json(kernel: Kernel) -> dict[str, Any]:
    image = kernel.image
    return {
        "wrapping": str(image.format),
        "release": kernel.release,
        "protocol": f"{image.protocol >> 8}.{image.protocol & 255:02}" if image.protocol else "",
        "compression": str(image.compression),
        "unread": problem_json(kernel.unread) if kernel.unread else None,
        "source": kernel.source,
    }
