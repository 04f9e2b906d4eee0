# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as JSON, as schema/report.schema.json describes it. What a person reads is beside it."""

from collections.abc import Iterable, Sequence
from typing import Any

from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.model import (
    BootFilesystem,
    Change,
    GrubCfgStatus,
    Guest,
    KernelStatus,
    LastBoot,
    Problem,
    Status,
    TargetStatus,
)
from guest_hooks.program import PROGRAM
from guest_hooks.records import asdict
from guest_hooks.repairs import ServiceStatus

SCHEMA = 1


def guest_json(guest: Guest) -> dict[str, Any]:
    """The `guest` object."""
    return {
        "hypervisor": guest.hypervisor,
        "mode": str(guest.mode),
        "bits": guest.bits,
        "efi": guest.efi,
        "evidence": list(guest.evidence),
    }


def detect_json(guest: Guest, targets: Sequence[str]) -> dict[str, Any]:
    """What `detect --json` prints."""
    return {"schema": SCHEMA, "guest": guest_json(guest), "targets": list(targets)}


def stage1_json(target: str, **made: str | int) -> dict[str, Any]:
    """What `stage1 --json` prints of the stage 1 for a target: its configuration, or its image."""
    return {"schema": SCHEMA, "target": target, **made}


def status_json(status: Status, service: ServiceStatus | None = None) -> dict[str, Any]:
    """What `status --json` prints; `service` is null where no repair service belongs to the
    tree.
    """
    return {
        "schema": SCHEMA,
        "ok": status.ok,
        "guest": guest_json(status.guest),
        "boot": _boot_json(status.boot) if status.boot else None,
        "targets": [_target_json(target) for target in status.targets],
        "grub_cfg": _grub_cfg_json(status.grub_cfg) if status.grub_cfg else None,
        "kernels": [_kernel_status_json(kernel) for kernel in status.kernels],
        "last_boot": asdict(status.last_boot),
        "service": {**asdict(service), "troubles": list(service.troubles)} if service else None,
        "problems": [problem_json(problem) for problem in status.problems],
    }


def no_status_json(guest: Guest, error: GuestHooksError) -> dict[str, Any]:
    """What `status --json` prints where there is no second stage to keep."""
    nothing: dict[str, Any] = {
        "boot": None,
        "targets": [],
        "grub_cfg": None,
        "kernels": [],
        "last_boot": asdict(LastBoot()),
        "problems": [],
    }
    return {**error_json(error), "guest": guest_json(guest), **nothing}


def sync_json(
    status: Status, changes: Iterable[Change], failures: Iterable[GuestHooksError]
) -> dict[str, Any]:
    """What `sync --json` prints: the status afterwards, what was changed, what failed."""
    return {
        **status_json(status),
        "changed": [{**asdict(change), "why": list(change.why)} for change in changes],
        "failures": [{"message": failure.message, "hint": failure.hint} for failure in failures],
    }


def error_json(error: GuestHooksError) -> dict[str, Any]:
    """What any verb prints with `--json` where it could not do its work."""
    return {
        "schema": SCHEMA,
        "ok": False,
        "error": {"exit_code": int(error.exit_code), "message": error.message, "hint": error.hint},
    }


def fault_json(fault: Exception) -> dict[str, Any]:
    """What any verb prints with `--json` where the program itself is at fault."""
    error = {
        "exit_code": int(ExitCode.FAULT),
        "message": f"{type(fault).__name__}: {fault}",
        "hint": f"journalctl -t {PROGRAM}",
    }
    return {"schema": SCHEMA, "ok": False, "error": error}


def _boot_json(boot: BootFilesystem) -> dict[str, Any]:
    return {
        "mountpoint": boot.mountpoint,
        "device": boot.device,
        "fs_type": boot.fs_type,
        "fs_uuid": boot.fs_uuid,
        "grub_dir": boot.grub_dir,
        "drive": boot.drive,
        "modules": list(boot.modules),
        "boot": asdict(boot.boot_place),
        "grub": asdict(boot.grub_place),
        "xen": asdict(boot.xen_place),
    }


def _target_json(target: TargetStatus) -> dict[str, Any]:
    first = target.files[0]
    return {
        "target": target.target,
        "required": target.required,
        "path": first.path,
        "state": str(target.state),
        "accepted": target.is_accepted,
        "sha256": first.sha256,
        "size": first.size,
        "prefix": target.prefix,
        "fs_uuid": target.fs_uuid,
        "modules": target.modules,
        "grub_version": target.grub_version,
        "files": [
            {"path": f.path, "state": str(f.state), "sha256": f.sha256, "size": f.size}
            for f in target.files
        ],
        "problems": [problem_json(problem) for problem in target.problems],
    }


def _grub_cfg_json(status: GrubCfgStatus) -> dict[str, Any]:
    return {
        "path": status.path,
        "state": str(status.state),
        "problems": [problem_json(problem) for problem in status.problems],
    }


def _kernel_status_json(kernel: KernelStatus) -> dict[str, Any]:
    copy = kernel.copy
    return {
        "path": kernel.path,
        "version": kernel.version,
        "compression": kernel.compression,
        "starts": {"pv": str(kernel.pv), "pvh": str(kernel.pvh)},
        "copy": {"path": copy.path, "state": str(copy.state)} if copy else None,
        "problems": [problem_json(problem) for problem in kernel.problems],
    }


def problem_json(problem: Problem) -> dict[str, str]:
    """One of the `problems`."""
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "severity": str(problem.severity),
    }
