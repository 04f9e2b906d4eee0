# SPDX-License-Identifier: GPL-3.0-or-later
"""A target as a survey of a tree without any of its files has it."""

from guest_hooks.machine.receipts import TargetReceipt
from guest_hooks.model import FileStatus, State, TargetStatus
from guest_hooks.survey.observed import Evidence, Found, ModuleDir, Packaged, SurveyedTarget
from guest_hooks.survey.plan import Plan


def surveyed(
    plan: Plan,
    status: TargetStatus | None = None,
    remembered: TargetReceipt = TargetReceipt(),  # noqa: B008 - frozen
) -> SurveyedTarget:
    """`plan` with nothing found, and the verdict `status`, by default that all is missing."""
    files = tuple(FileStatus(path=file.path, state=State.MISSING) for file in plan.files)
    missing = TargetStatus(
        target=plan.target.name, required=plan.required, state=State.MISSING, files=files
    )
    evidence = Evidence(
        found={file.path: Found() for file in plan.files},
        packaged=Packaged(),
        module_dir=ModuleDir(),
        remembered=remembered,
    )
    return SurveyedTarget(plan=plan, evidence=evidence, status=status or missing)
