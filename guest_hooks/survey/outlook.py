# SPDX-License-Identifier: GPL-3.0-or-later
"""How a guest is and whether its next boot works: the one verdict of `status`, for every reader."""

from guest_hooks.errors import ExitCode
from guest_hooks.model import Status
from guest_hooks.preflight.result import Preflight
from guest_hooks.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What was found; `next_boot` is None where it could not be followed, and then is not known."""

    status: Status
    next_boot: Preflight | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do and nothing is known that keeps the next boot from working
        as it should.
        """
        return self.status.ok and (self.next_boot is None or self.next_boot.ok)

    @property
    def exit_code(self) -> ExitCode:
        """What `status` exits with."""
        return ExitCode.OK if self.ok else ExitCode.DIFFERS
