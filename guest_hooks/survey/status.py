# SPDX-License-Identifier: GPL-3.0-or-later
"""How is it: the facts of this guest compared with the plan, and nothing changed."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from guest_hooks.config import Config
from guest_hooks.formats import fs_features
from guest_hooks.machine import disks, dpkg, grub_tools, guest, receipts
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.receipts import Receipt
from guest_hooks.machine.root import Root
from guest_hooks.model import (
    BootFilesystem,
    Choices,
    GrubCfgStatus,
    KernelStatus,
    Problem,
    Severity,
    Start,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.paths import GRUB_CFG
from guest_hooks.problems.boot import BootFsProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.program import SYNC
from guest_hooks.records import dataclass, replace
from guest_hooks.survey import (
    evidence,
    kernel_images,
    last_boot,
    legacy_menu,
    menu_kernels,
    menu_verdict,
    plan,
    pv_kernels,
    verdict,
)
from guest_hooks.survey.observed import Evidence, SurveyedTarget
from guest_hooks.survey.plan import Plan, Wanted
from guest_hooks.targets import TARGETS

MODULES_OF = "grub-xen-bin"
"""The package of GRUB's modules for Xen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What `status` shows and `sync` works from; the targets are in the order of the status's.
    `memory` is by what it was made, for a later one to go on from.
    """

    config: Config
    targets: tuple[SurveyedTarget, ...]
    status: Status
    memory: Memory | None = None

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What should be there."""
        return tuple(each.plan for each in self.targets)

    def evidence(self, target: str) -> Evidence | None:
        """What was found of `target`, if it is among these."""
        return next((each.evidence for each in self.targets if each.name == target), None)


def survey(
    root: Root,
    config: Config,
    *,
    targets: Sequence[str] = (),
    asked: Mapping[str, Choices] = MappingProxyType({}),
    known: Survey | None = None,
    memory: Memory | None = None,
) -> Survey:
    """Gather and judge; `asked` is what is asked by target. What is learnt is in `memory`,
    for the caller to save: nothing is written here. Where the survey `known` has just
    been made, /boot's file system is taken from it, and only what has changed since is read again.

    Raises `NotApplicableError` where the guest has no target, `LackingError` where /boot can't be
    told.
    """
    memory = memory or (known.memory if known else None) or Memory(root)
    here = guest.detect(root)
    wants = plan.wanted(here, config, targets, kernel_images.names(root))
    boot = (known.status.boot if known else None) or disks.boot_filesystem(root, memory.answers)
    receipt = receipts.load(root)
    surveyed = []
    for want in wants:
        name = want.target.name
        before = known.evidence(name) if known else None
        package = evidence.package_files(root, want.target, before.package if before else None)
        needs = evidence.dependencies(package)
        choices = asked.get(name, receipt.target(name).choices)
        planned = plan.make(want, here, config, boot, needs, choices)
        planned = replace(planned, is_asked=name in asked)
        found = evidence.gather(root, planned, receipt, package, before)
        judged = _with_note(verdict.judge(planned, found), receipt)
        surveyed.append(SurveyedTarget(plan=planned, evidence=found, status=judged))
    plans = tuple(each.plan for each in surveyed)
    verdicts = tuple(each.status for each in surveyed)
    came_by = last_boot.read(root)
    required = {want.target.name: want.required for want in wants}
    kernels = pv_kernels.survey(root, config, required, memory)
    status = Status(
        guest=here,
        boot=boot,
        targets=verdicts,
        grub_cfg=_menu(root, config, boot, receipt, kernels, memory),
        last_boot=came_by,
        problems=(
            *(problem for want in wants for problem in _lacking(root, want)),
            *_unreadable(boot),
            *_legacy(root, config, boot, plans),
            *(() if targets else _left_behind(root, config, receipt, wants)),
            *last_boot.problems(root, came_by, verdicts),
        ),
        kernels=kernels,
    )
    return Survey(config=config, targets=tuple(surveyed), status=status, memory=memory)


def _with_note(status: TargetStatus, receipt: Receipt) -> TargetStatus:
    """`status`, with why a sync did not replace the second stage, if one did not."""
    kept = receipt.kept.get(status.path)
    if kept is None or status.is_settled or kept.sha256 != status.files[0].sha256:
        return status
    note = Problem.of(SecondStageProblem.KEPT, kept.message, step=kept.hint)
    return replace(status, problems=(*status.problems, note))


def _menu(
    root: Root,
    config: Config,
    boot: BootFilesystem,
    receipt: Receipt,
    kernels: Sequence[KernelStatus],
    memory: Memory,
) -> GrubCfgStatus:
    """The verdict for grub.cfg; unknown where all that could be compared is as it should be,
    and a UUID was not known.
    """
    root_uuid = disks.root_uuid(root)
    command = SYNC if config.update_grub else "update-grub"
    kept = receipt.kept.get(GRUB_CFG)
    found = menu_verdict.status(
        root,
        fs_uuid=boot.fs_uuid,
        root_uuid=root_uuid,
        command=command,
        kept=kept,
        parser=partial(grub_tools.script_error, root, answers=memory.answers),
    )
    copied = [kernel for kernel in kernels if kernel.pv is Start.COPY]
    found = menu_kernels.with_copies(root, found, copied)
    if found.state is not State.CURRENT or boot.is_known:
        return found
    message = verdict.NOT_KNOWN.format(path=found.path)
    problem = Problem.of(SecondStageProblem.BOOT_NOT_KNOWN, message)
    return replace(found, state=State.UNKNOWN, problems=(problem,))


def require(root: Root, config: Config, targets: Sequence[str] = ()) -> None:
    """Raise what `survey` raises of a tree with no target or no /boot of its own, before
    anything is put into it: a lock, too.
    """
    plan.wanted(guest.detect(root), config, targets, kernel_images.names(root))
    disks.boot_mount(root)


def _unreadable(boot: BootFilesystem) -> tuple[Problem, ...]:
    if boot.unreadable is None:
        return ()
    message, step = fs_features.explain(boot), fs_features.remedy(boot)
    return (Problem.of(BootFsProblem.UNREADABLE, message, step=step),)


def _legacy(
    root: Root, config: Config, boot: BootFilesystem, plans: tuple[Plan, ...]
) -> tuple[Problem, ...]:
    found = legacy_menu.problem(root, config, boot, plans)
    return (found,) if found is not None else ()


def _left_behind(
    root: Root, config: Config, receipt: Receipt, wants: Sequence[Wanted]
) -> tuple[Problem, ...]:
    """Second stages that a sync made when the host started this guest another way, or the
    configuration named more.
    """
    kept = {want.target.name for want in wants}
    return tuple(
        Problem.of(
            SecondStageProblem.LEFT_BEHIND,
            f"{path} is of an earlier sync, and nothing keeps it up to date: {name} is not among "
            "the targets",
            paths=" ".join(
                shlex.quote(root.outside(file)) for file in target.files if root.exists(file)
            ),
            targets=", ".join(f'"{each}"' for each in (*config.targets, name)),
        )
        for name, target in TARGETS.items()
        if name in receipt.targets
        and name not in kept
        and root.exists(path := target.path(target.arches[0]))
    )


def _lacking(root: Root, want: Wanted) -> tuple[Problem, ...]:
    """Whether GRUB's modules for a target are installed, and wholly so."""
    state = dpkg.recorded(root, [MODULES_OF]).get(MODULES_OF)
    if state == dpkg.HALF_INSTALLED:
        return (
            Problem.of(
                SecondStageProblem.GRUB_HALF_INSTALLED,
                f"{MODULES_OF} is half-installed, and its modules may be of two versions: no "
                "second stage is made of them",
                severity=Severity.ERROR if want.required else Severity.WARNING,
            ),
        )
    if root.exists(f"{want.target.lib_dir}/moddep.lst"):
        return ()
    return (
        Problem.of(
            SecondStageProblem.GRUB_NOT_INSTALLED,
            f"GRUB's modules for {want.target.name} are not installed: no {want.target.lib_dir}",
            severity=Severity.ERROR if want.required else Severity.WARNING,
        ),
    )
