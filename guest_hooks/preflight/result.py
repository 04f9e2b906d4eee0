# SPDX-License-Identifier: GPL-3.0-or-later
"""What `preflight` finds: the chain of links that the next boot goes through, and what is wrong
with them. Pure.
"""

from enum import StrEnum
from typing import Self

from guest_hooks.model import Guest, Severity
from guest_hooks.preflight.steps import NextStep
from guest_hooks.problems import row
from guest_hooks.problems.row import Actor, Effect, ProblemCode
from guest_hooks.records import dataclass

Certainty = row.Certainty


class Link(StrEnum):
    """The links of a boot, in their order."""

    STAGE1 = "stage-1"
    HANDOVER = "handover"
    SECOND_STAGE = "second-stage"
    GRUB_CFG = "grub.cfg"
    ENTRY = "entry"
    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: which `thing` (a path, an entry), what its console would say,
    how sure, and the next step.

    `stops` says that a boot which comes by here ends here; `console` is empty where nothing would
    be said. `is_refused_by_grub`: of what the code stands for, GRUB meets this, and not Linux.
    """

    code: ProblemCode
    link: Link
    thing: str
    message: str
    console: str = ""
    certainty: Certainty = Certainty.CERTAIN
    hint: str = ""
    severity: Severity = Severity.ERROR
    stops: bool = True
    actor: Actor = Actor.GUEST
    is_refused_by_grub: bool = False

    @classmethod
    def of(
        cls,
        code: ProblemCode,
        *,
        link: Link,
        thing: str,
        message: str,
        by: NextStep | None = None,
        **fields: str,
    ) -> Self:
        """The finding `code` as the table has it; `fields` fill in its console and its hint, which
        has the step `by` somebody in it where one is given.
        """
        known = code.row
        fields |= {"step": by.words} if by else {}
        return cls(
            code=code,
            link=link,
            thing=thing,
            message=message,
            console=known.console.format(**fields),
            certainty=known.certainty,
            hint=known.hint.format(**fields),
            severity=known.severity,
            stops=known.effect is Effect.ENDS,
            actor=by.actor if by else known.actor,
        )

    @property
    def name(self) -> str:
        """The code as preflight shows it."""
        return self.code.finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One link as it will be used, in words; `thing` is the path of what is used, where it has
    one.
    """

    link: Link
    text: str
    thing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The answer; `unknown` says what can't be known from inside the guest, or could not be
    looked at.
    """

    guest: Guest
    chain: tuple[Step, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]

    @property
    def will_boot(self) -> bool:
        """Whether the next unattended boot reaches its root file system, as far as the guest
        can know.
        """
        return not any(
            finding.stops and finding.severity is Severity.ERROR for finding in self.findings
        )

    @property
    def is_followed(self) -> bool:
        """Whether the boot could be followed to a kernel: else nothing is known of it."""
        return any(step.link is Link.KERNEL for step in self.chain)

    @property
    def ok(self) -> bool:
        """Whether nothing was found that is not as it should be; warnings (other entries, other
        disks) change no verdict.
        """
        return not any(finding.severity is Severity.ERROR for finding in self.findings)
