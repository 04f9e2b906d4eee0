# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight costs in a guest with three kernels: the first time, with a cold page cache,
and again.
"""

from statistics import median

from bench.guest import PROGRAM, forget, measured
from bench.limits import Measured
from bench.measure import Command
from tests.support.chroot_guest import ChrootGuest

COLD_RUNS = 5
RUNS = 11
REMEMBERED = tuple(
    f"/var/lib/xen-guest-bootloader/{name}" for name in ("preflight.json", "grub-answers.json")
)
"""What a first run lacks: the facts of kernels, and what GRUB's tools have answered."""
PREFLIGHT = [PROGRAM, "preflight"]


def figures(guest: ChrootGuest) -> dict[str, Measured]:
    """The figures of a first and of a further run."""
    guest.run(*PREFLIGHT, check=False)
    warm, again = (
        measured(guest, {"preflight": Command(words=PREFLIGHT, before=before)}, runs=RUNS)[
            "preflight"
        ].milliseconds
        for before in (f"rm -f {' '.join(REMEMBERED)}", "")
    )
    cold = []
    for _ in range(COLD_RUNS):
        for path in REMEMBERED:
            guest.path(path).unlink(missing_ok=True)
        forget(guest.path("/boot"), guest.disk.root.image)
        cold.append(
            measured(guest, {"preflight": Command(words=PREFLIGHT)}, runs=1, warm=False)[
                "preflight"
            ].milliseconds
        )
    return {
        "preflight-cold": Measured(
            value=median(cold),
            detail=f"best {min(cold):.0f} ms; with a warm page cache {warm:.0f} ms",
        ),
        "preflight-again": Measured(value=again),
    }
