# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync notes in the receipt: what it made, and what it kept from being replaced."""

from collections.abc import Sequence

from guest_hooks.formats.digests import sha256
from guest_hooks.machine.receipts import Receipt, TargetReceipt
from guest_hooks.model import Change
from guest_hooks.records import replace
from guest_hooks.sync import recipe, safeguard
from guest_hooks.sync.build import Built
from guest_hooks.sync.result import Failure


def receipt_of(
    receipt: Receipt,
    built: Sequence[Built],
    failures: Sequence[Failure],
    replaced: Sequence[Change],
) -> Receipt:
    """The receipt of a run that `built` second stages and `replaced` menus, after `receipt`."""
    made = {
        each.plan.target.name: TargetReceipt(
            core_sha256=sha256(each.core),
            request=each.plan.request,
            choices=each.plan.choices,
            recipe=recipe.of(each.core, each.plan.boot.modules),
        )
        for each in built
    }
    noted = safeguard.noted(
        receipt, [failure.error for failure in failures], [change.path for change in replaced]
    )
    return replace(noted, targets={**receipt.targets, **made})
