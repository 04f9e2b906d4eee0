"""What `preflight` finds: the chain of links that the next boot goes through, and what is wrong
with them.
"""

from dataclasses import dataclass
from enum import StrEnum

from guest_hooks.model import Guest, Severity


class Link(StrEnum):
    """The links of a boot, in their order."""

    STAGE1 = "stage-1"
    SECOND_STAGE = "second-stage"
    GRUB_CFG = "grub.cfg"
    ENTRY = "entry"
    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT = "root"


class Certainty(StrEnum):
    """How sure a finding is: seen and always so; so on most hosts; not to be told from inside
    the guest.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: which `thing` (a path, an entry), what its console would say,
    how sure, and the next step.

    `stops` says that a boot which comes by here ends here; `console` is empty where nothing would
    be said.
    """

    code: str
    link: Link
    thing: str
    message: str
    console: str = ""
    certainty: Certainty = Certainty.CERTAIN
    hint: str = ""
    severity: Severity = Severity.ERROR
    stops: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One link as it will be used."""

    link: Link
    text: str


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
    def ok(self) -> bool:
        """Whether nothing was found that is not as it should be; warnings (other entries, other
        disks) change no verdict.
        """
        return not any(finding.severity is Severity.ERROR for finding in self.findings)
