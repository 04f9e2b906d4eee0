# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as words on a terminal. What programs read is in `report`."""

from collections.abc import Iterable
from dataclasses import dataclass

from guest_hooks import terminal
from guest_hooks.errors import GuestHooksError
from guest_hooks.formats.inspection import Inspection, Kernel
from guest_hooks.machine.service import ServiceStatus
from guest_hooks.machine.service import line as service_line
from guest_hooks.model import (
    Change,
    Guest,
    LastBoot,
    Mode,
    Problem,
    Severity,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.targets import MACHINES

_COLOURS = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}
_MODES = {
    Mode.PV: "Xen PV guest",
    Mode.PVH: "Xen PVH guest",
    Mode.HVM: "Xen HVM guest",
    Mode.DOM0: "Xen host (dom0)",
    Mode.ARM: "Xen guest on ARM",
    Mode.NONE: "no Xen guest",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How much is said, and whether in colour."""

    colour: bool = False
    verbose: bool = False

    def paint(self, text: str, kind: str) -> str:
        """`text` in the colour for `kind` (a key of `_COLOURS`), or as it is; `terminal.shown`
        makes it what a terminal obeys.
        """
        return terminal.painted(text, _COLOURS[kind]) if self.colour else text


def inspection_text(found: Inspection, style: Style) -> list[str]:
    """What `inspect` shows a person of one file."""
    stage = found.stage
    path = style.paint(found.path, "bold")
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
    lines = [f"{path}: {kind}, ELF{stage.elf_class}, {machine}, {found.size} bytes"]
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
        f"  may serve: {style.paint(', '.join(found.fits), 'good')}"
        if found.fits
        else style.paint("  may serve no target", "bad")
    )
    if not found.fits:
        for name, problems in found.problems.items():
            lines += [f"  for {name}:", *problem_text(problems, style)]
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
            style.paint(f"  cut off: {image.size} of at least {image.needed_size} bytes", "bad")
        )
    lines += [f"  note {name}: {value!r}" for name, value in kernel.notes] if style.verbose else []
    if kernel.unread is not None:
        return [*lines, *problem_text([kernel.unread], style)]
    starts = [
        mode
        for mode, note in (("PV", "ENTRY"), ("PVH", "PHYS32_ENTRY"))
        if note in dict(kernel.notes)
    ]
    return [*lines, f"  its notes let it start as: {', '.join(starts) or 'no Xen guest'}"]


def guest_text(guest: Guest, style: Style) -> list[str]:
    """Which guest this is, in one line; the evidence below it where asked for."""
    what = _MODES[guest.mode] + (
        f", {guest.bits}-bit kernel" if guest.mode in (Mode.PV, Mode.PVH, Mode.HVM) else ""
    )
    lines = [style.paint(what + (", EFI firmware" if guest.efi else ""), "bold")]
    shown = guest.evidence if style.verbose else guest.evidence[:1]
    return [*lines, *(style.paint(f"  {evidence}", "dim") for evidence in shown)]


def status_text(status: Status, style: Style, service: ServiceStatus | None = None) -> list[str]:
    """What `status` shows a person."""
    lines = guest_text(status.guest, style)
    if status.boot:
        boot = status.boot
        lines.append(
            f"/boot is {boot.fs_type} {boot.fs_uuid} on {boot.device}; GRUB finds it as"
            f" {boot.drive}{boot.grub_dir}"
        )
    lines.append("")
    rows = [
        (target.target + ("" if target.required else " (optional)"), target.state, _details(target))
        for target in status.targets
    ]
    if status.grub_cfg:
        rows.append(("grub.cfg", status.grub_cfg.state, status.grub_cfg.path))
    width = max((len(name) for name, _, _ in rows), default=0)
    below = [
        [*problem_text(target.problems, style), *_file_lines(target, style)]
        for target in status.targets
    ]
    below += [problem_text(status.grub_cfg.problems, style)] if status.grub_cfg else []
    for (name, state, details), more in zip(rows, below, strict=True):
        lines.append(f"  {name:<{width}}  {style.paint(f'{state:<8}', _kind(state))}  {details}")
        lines += more
    lines += problem_text(status.problems, style)
    lines += ["", _last_boot_text(status.last_boot), *_service_lines(service, style)]
    lines.append(
        style.paint("Second stage and grub.cfg are as they should be.", "good")
        if status.ok
        else style.paint("Something is to be done; see above.", "bad")
    )
    return lines


def problem_text(problems: Iterable[Problem], style: Style) -> list[str]:
    """Each problem and its next step, indented."""
    lines = []
    for problem in problems:
        mark = style.paint(
            "warning:" if problem.severity is Severity.WARNING else "problem:",
            _severity_kind(problem),
        )
        lines.append(f"      {mark} {problem.message} {style.paint(f'[{problem.code}]', 'dim')}")
    hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
    return [*lines, *(f"      -> {hint}" for hint in hints)]


def changes_text(changes: Iterable[Change], *, dry_run: bool) -> list[str]:
    """One line a change."""
    return [
        f"{_deed(change, dry_run=dry_run)} {change.path} ({', '.join(change.why) or 'asked to'})"
        for change in changes
    ]


def _deed(change: Change, *, dry_run: bool) -> str:
    is_removal = change.why == (SecondStageProblem.BRIDGE_UNWANTED,)
    if dry_run:
        return "would remove" if is_removal else "would write"
    return "removed" if is_removal else "wrote"


def error_text(error: GuestHooksError, style: Style) -> list[str]:
    """An error and its next step, as stderr shows it."""
    lines = [f"xen-guest-bootloader: {style.paint('error:', 'bad')} {error.message}"]
    return [*lines, f"  -> {error.hint}"] if error.hint else lines


def warnings_text(problems: Iterable[Problem], style: Style) -> list[str]:
    """What a run that may have ended well warns of, each with its next step, as stderr shows it."""
    lines = []
    for problem in problems:
        lines.append(f"xen-guest-bootloader: {style.paint('warning:', 'warn')} {problem.message}")
        lines += [f"  -> {problem.hint}"] if problem.hint else []
    return lines


def _details(target: TargetStatus) -> str:
    version = (
        f"GRUB {target.grub_version}, {target.modules} modules inside"
        if target.grub_version
        else ""
    )
    return f"{target.path}  {version}".rstrip()


def _file_lines(target: TargetStatus, style: Style) -> list[str]:
    if not style.verbose:
        return []
    return [
        f"      {f.path}  {f.state}  {f.size} bytes  sha256 {f.sha256 or '-'}" for f in target.files
    ]


def _last_boot_text(boot: LastBoot) -> str:
    match boot.via:
        case "second-stage":
            return f"Last boot: by the second stage, prefix {boot.prefix} ({boot.platform})"
        case "stage-1":
            return (
                f"Last boot: by the host's GRUB, not by a second stage; prefix {boot.prefix}"
                f" ({boot.platform})"
            )
        case _:
            return "Last boot: the kernel's command line does not tell which GRUB it was"


def _service_lines(service: ServiceStatus | None, style: Style) -> list[str]:
    if service is None:
        return []
    if not service.running:
        return [
            style.paint("Repair service: not running", "warn"),
            *(f"      {trouble}" for trouble in service.troubles),
        ]
    return [f"Repair service: since {service.since}, {service_line(service)}"]


def _kind(state: State) -> str:
    return {
        State.CURRENT: "good",
        State.STALE: "warn",
        State.FOREIGN: "warn",
        State.UNKNOWN: "warn",
    }.get(state, "bad")


def _severity_kind(problem: Problem) -> str:
    return "warn" if problem.severity is Severity.WARNING else "bad"
