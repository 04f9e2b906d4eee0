# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found of one target in a guest's tree: what a verdict rests on."""

from collections.abc import Mapping

from guest_hooks.machine.directory import Directory, Signature
from guest_hooks.machine.receipts import TargetReceipt
from guest_hooks.model import TargetStatus
from guest_hooks.records import dataclass, field
from guest_hooks.survey.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file as it stands: its bytes, or None and why they were not read; None without a
    reason: nothing stands there. As long as it has the `signature` (None: not known), it is the
    same.
    """

    data: bytes | None = None
    sha256: str = ""
    unread: str = ""
    signature: Signature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """What grub-xen-bin offers for a target: its version and the hashes of its kernel and
    modules; empty where not installed.
    """

    version: str = ""
    kernel_sha256: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleDir:
    """How /boot/grub/<target> differs from what it should hold: names missing or with other
    content, and its core.elf's hash.
    """

    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    core_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a verdict on one target rests on; `found` has every path of the plan.

    `package` and `standing` are the files of /usr/lib/grub/<target> and /boot/grub/<target>.
    """

    found: Mapping[str, Found]
    packaged: Packaged
    module_dir: ModuleDir
    remembered: TargetReceipt
    package: Directory = field(default_factory=Directory)
    standing: Directory = field(default_factory=Directory)

    def is_held(self, sha256: str) -> bool:
        """Whether `rollback` put back the second stage of this hash (empty: there is none)."""
        return sha256 != "" and sha256 == self.remembered.held_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedTarget:
    """One target: what should be there, what is there, and the verdict."""

    plan: Plan
    evidence: Evidence
    status: TargetStatus

    @property
    def name(self) -> str:
        """GRUB's name of the target."""
        return self.plan.target.name
