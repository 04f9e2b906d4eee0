# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a change of the boot files would stop a guest that boots as they are.

What counts is what is known: a finding that ends the boot, certain or likely. A menu that can't be
followed, or a default that GRUB settles only while it runs, is not known to fail and keeps nothing
back.
"""

from guest_hooks.config import Config
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import Severity, Status
from guest_hooks.preflight import facts
from guest_hooks.preflight.follow import Way
from guest_hooks.preflight.result import Finding
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.records import dataclass
from guest_hooks.targets import TARGETS

_WAITS = frozenset({MenuProblem.WAITS, MenuProblem.ASKS})
"""What ends a boot only while nobody is at the console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A guest before or after a change: its tree, which may be an overlay, and the verdicts on
    what is in it.
    """

    root: Root
    status: Status


def ends_booting(
    before: View, after: View, config: Config, memory: Memory, *, run: Run = run
) -> tuple[Finding, ...]:
    """What would end the next boot after a change of second stages or menu, where nothing ends
    it before; else empty.

    Stage 1 is the same on both sides and is left out, and so are entries that would not be started.
    A menu that waits for somebody before and after ends neither boot: somebody comes, or nobody.
    """
    boot = before.status.boot
    if boot is None:
        return ()
    wanted = [
        target for target in before.status.targets if target.required
    ] or before.status.targets
    devices = facts.devices(before.root, boot, run=run)
    found: tuple[Finding, ...] = ()
    for mode in dict.fromkeys(TARGETS[target.target].mode for target in wanted):
        later, earlier = (
            _ends(
                Way(
                    root=view.root,
                    config=config,
                    status=view.status,
                    boot=boot,
                    devices=devices,
                    memory=memory,
                    mode=mode,
                    run=run,
                )
            )
            for view in (after, before)
        )
        waits = _WAITS & earlier.keys() & later.keys()
        if not earlier.keys() - waits:
            found = found or tuple(later[code] for code in later if code not in waits)
    return found


def _ends(way: Way) -> dict[str, Finding]:
    """What ends the boot, by its code."""
    way.follow_from_second_stage()
    ends = (each for each in way.findings if each.stops and each.severity is Severity.ERROR)
    return {each.code: each for each in ends}
