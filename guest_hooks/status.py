"""How is it: the facts of this guest compared with the plan, and nothing changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from guest_hooks import compare, evidence, grub_config, legacy_menu, plan
from guest_hooks.config import Config
from guest_hooks.formats import boot_provenance
from guest_hooks.machine import disks, guest, receipts
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import BootFilesystem, Problem, Severity, Status
from guest_hooks.plan import Plan, Wanted

CMDLINE = "/proc/cmdline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What `status` shows and `sync` works from; the plans are in the order of the status's targets."""

    config: Config
    plans: tuple[Plan, ...]
    status: Status


def survey(
    root: Root, config: Config, *, targets: Sequence[str] = (), boot: BootFilesystem | None = None, run: Run = run
) -> Survey:
    """Gather and judge; `boot` is /boot's file system where the caller has just looked at it.

    Raises `NotApplicableError` where the guest has no target, `LackingError` where /boot can't be told.
    """
    here = guest.detect(root)
    wants = plan.wanted(here, config, targets, grub_config.kernels(root))
    boot = boot or disks.boot_filesystem(root, run=run)
    plans = tuple(plan.make(want, here, config, boot, evidence.dependencies(root, want.target)) for want in wants)
    receipt = receipts.load(root)
    status = Status(
        guest=here,
        boot=boot,
        targets=tuple(compare.judge(each, evidence.gather(root, each, receipt)) for each in plans),
        grub_cfg=grub_config.status(root, fs_uuid=boot.fs_uuid, run=run),
        last_boot=boot_provenance.read(root.read_text(CMDLINE) or ""),
        problems=(*(problem for want in wants for problem in _lacking(root, want)), *_legacy(root, config, boot, plans)),
    )
    return Survey(config=config, plans=plans, status=status)


def _legacy(root: Root, config: Config, boot: BootFilesystem, plans: tuple[Plan, ...]) -> tuple[Problem, ...]:
    found = legacy_menu.problem(root, config, boot, plans)
    return (found,) if found is not None else ()


def _lacking(root: Root, want: Wanted) -> tuple[Problem, ...]:
    """Whether GRUB's modules for a target are installed at all."""
    if root.exists(f"{want.target.lib_dir}/moddep.lst"):
        return ()
    return (
        Problem(
            code="grub-not-installed",
            message=f"GRUB's modules for {want.target.name} are not installed: no {want.target.lib_dir}",
            hint="apt install grub-xen-bin",
            severity=Severity.ERROR if want.required else Severity.WARNING,
        ),
    )
