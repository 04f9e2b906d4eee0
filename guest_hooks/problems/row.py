# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a problem code, and what it means for the next boot."""

from enum import StrEnum
from typing import Self

from guest_hooks.records import dataclass


class State(StrEnum):
    """How a second stage or a menu compares with what should be there."""

    CURRENT = "current"
    MISSING = "missing"
    STALE = "stale"
    INVALID = "invalid"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """`error`: the thing is not as it should be. `warning`: worth knowing, changes no verdict."""

    ERROR = "error"
    WARNING = "warning"


class Certainty(StrEnum):
    """How sure a finding is; `likely` is what happens on most hosts."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """What becomes of a boot that meets the problem."""

    ENDS = "the boot ends here"
    FALLS_BACK = "the boot goes on without the second stage, by the host's GRUB"
    MAY_END = "the boot may end here"
    NONE = "the guest boots"


class Actor(StrEnum):
    """Who takes the next step."""

    HERE = "whoever runs this program, with the same --root"
    GUEST = "the guest's admin, inside the guest"
    HOST = "the host's admin"


@dataclass(frozen=True, slots=True)
class Row:
    """One problem.

    `meaning` is a sentence for the manual. `console` is what the guest's console shows, `hint` the
    next step; both are templates for `str.format`, whose fields the finding fills in. An empty
    `console` means that nothing is shown. `state` is what follows for a second stage or a menu,
    `step` what the field {step} of the hint usually is.
    """

    code: str
    meaning: str
    effect: Effect = Effect.NONE
    console: str = ""
    hint: str = ""
    step: str = ""
    actor: Actor = Actor.HERE
    state: State | None = None
    severity: Severity = Severity.ERROR
    certainty: Certainty = Certainty.CERTAIN


def ending(
    code: str,
    meaning: str,
    console: str,
    hint: str,
    *,
    step: str = "",
    certainty: Certainty = Certainty.CERTAIN,
) -> Row:
    """What ends the boot and is repaired inside the guest."""
    return Row(
        code,
        meaning,
        effect=Effect.ENDS,
        console=console,
        hint=hint,
        step=step,
        actor=Actor.GUEST,
        certainty=certainty,
    )


class ProblemCode(StrEnum):
    """A problem's stable name; as a string it is the code that JSON and the terminal show."""

    row: Row

    def __new__(cls, row: Row) -> Self:
        """Make the member whose value is the row's code."""
        member = str.__new__(cls, row.code)
        member._value_ = row.code
        member.row = row
        return member

    @property
    def finding(self) -> str:
        """What `preflight` calls it."""
        return self.value

    @property
    def state(self) -> State:
        """What a second stage or a menu with this problem is."""
        return self.row.state or State.CURRENT


class SecondStageCode(ProblemCode):
    """The code of a problem with a second stage."""

    @property
    def finding(self) -> str:
        """The same behind `second-stage-`, for preflight speaks of a whole boot."""
        return f"second-stage-{self.value.removeprefix('second-stage-')}"
