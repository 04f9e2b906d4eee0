# SPDX-License-Identifier: GPL-3.0-or-later
"""No run replaces what would boot by what would not, by preflight's own verdict; `--force` does.

Both are judged alike: preflight follows the next boot by what is there and by what was made, from
the second stage to the root file system. Only what is known to end the boot keeps something back: a
menu that preflight can't follow is replaced and replaces.
"""

import os
from collections.abc import Sequence

from guest_hooks.config import Config, Stage1
from guest_hooks.errors import GuestHooksError, KeptError, NotRepairedError
from guest_hooks.machine import package_states
from guest_hooks.machine.overlay import Overlay
from guest_hooks.machine.receipts import Kept, Receipt
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import GrubCfgStatus, Mode, Start, State, Status, TargetStatus
from guest_hooks.program import SYNC
from guest_hooks.records import replace
from guest_hooks.survey import menu_kernels, menu_verdict
from guest_hooks.survey.observed import SurveyedTarget
from guest_hooks.survey.status import MODULES_OF, Survey
from guest_hooks.sync.build import Built


def menu(
    root: Root, config: Config, status: Status, made: bytes, *, run: Run = run
) -> tuple[str, ...]:
    """What would end the next boot by the menu `made`, where it works by the menu there is.

    `status` is that of the guest as it is, but for second stages that were installed since.
    """
    # Few runs make a menu.
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415
    from guest_hooks.preflight.change import View, ends_booting  # noqa: PLC0415

    valid = GrubCfgStatus(path=menu_verdict.PATH, state=State.CURRENT)
    before = View(root=root, status=status)
    after = View(
        root=Overlay(root.path, {menu_verdict.PATH: made}), status=replace(status, grub_cfg=valid)
    )
    memory = Memory(root)
    found = ends_booting(before, after, config, memory, run=run)
    if root.is_live:
        memory.save()
    return tuple(dict.fromkeys(finding.message for finding in found))


def second_stage(root: Root, found: Survey, there: SurveyedTarget) -> None:
    """Raise `NotRepairedError` where a second stage that is made now could end a boot that
    the present one does not end.

    What is built is verified to be what GRUB's package makes. That is worth nothing while the
    package is half installed, nor where the guest is known to be started by something that can do
    more than the guest's own GRUB.
    """
    from guest_hooks.preflight.links import second_stage as link  # noqa: PLC0415 - few runs build one

    plan, status, name = there.plan, there.status, there.name
    if any(finding.stops for finding in link.findings(status, plan.boot, found.config.modules)):
        return
    if package_states.recorded(root, [MODULES_OF]).get(MODULES_OF) == package_states.HALF_INSTALLED:
        raise NotRepairedError(
            f"no second stage was made for {name}: {MODULES_OF} is half-installed, and its modules"
            " may be of two versions",
            hint=f"apt install --reinstall {MODULES_OF}; or: {SYNC} --force",
        )
    is_first = status.state is State.MISSING and not there.evidence.remembered.core_sha256
    runs_by_it = found.status.guest.mode is plan.target.mode is Mode.PV
    if is_first and runs_by_it and found.config.stage1 is Stage1.AUTO:
        packing = "" if _starts_copy(root, found.status) else _packing_of_running_kernel(root)
        if packing:
            raise NotRepairedError(
                f"no second stage was installed for {name}: the kernel that runs now is packed with"
                f" {packing}, which the guest's GRUB can't unpack for a PV guest, and so by a"
                " second stage the guest would no longer boot",
                hint=(
                    'if pygrub starts this guest, set stage1 = "pygrub"; to install it all the'
                    f" same: {SYNC} --force"
                ),
            )


def with_installed(status: Status, built: Sequence[Built]) -> Status:
    """`status` after the second stages `built`, each of which was verified, have been installed."""
    names = {each.plan.target.name for each in built}
    targets = tuple(_current(each) if each.target in names else each for each in status.targets)
    return replace(status, targets=targets)


def noted(
    receipt: Receipt, failures: Sequence[GuestHooksError], replaced: Sequence[str]
) -> Receipt:
    """`receipt` with a note on each file that was kept, and without those on the files that
    were `replaced`.
    """
    notes = {path: note for path, note in receipt.kept.items() if path not in replaced}
    return replace(
        receipt,
        kept=notes | {each.path: _note(each) for each in failures if isinstance(each, KeptError)},
    )


def is_known(receipt: Receipt, failure: GuestHooksError) -> bool:
    """Whether an earlier run has kept the same file from the same replacement, for the same
    cause.
    """
    return isinstance(failure, KeptError) and receipt.kept.get(failure.path) == _note(failure)


def _starts_copy(root: Root, status: Status) -> bool:
    """Whether a PV boot by the menu starts the copy of the kernel that runs now."""
    release = os.uname().release
    copied = [each for each in status.kernels if each.version == release and each.pv is Start.COPY]
    return bool(copied) and not menu_kernels.beside_copies(root, copied)


def _packing_of_running_kernel(root: Root) -> str:
    """How the kernel that runs now is packed, if GRUB can't unpack that for a PV guest; empty
    where it can or it is not known.
    """
    from guest_hooks.formats import bzimage  # noqa: PLC0415 - once in a guest's life
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415 - as above

    path = f"/boot/vmlinuz-{os.uname().release}"
    facts = Memory(root).kernel(path) if root.is_live and root.exists(path) else None
    packing = facts.compression if facts else ""
    return packing if packing and packing not in bzimage.GRUB_XEN_UNPACKS else ""


def _note(error: KeptError) -> Kept:
    return Kept(sha256=error.before, made_sha256=error.made, message=error.message, hint=error.hint)


def _current(target: TargetStatus) -> TargetStatus:
    files = tuple(replace(file, state=State.CURRENT) for file in target.files)
    return replace(target, state=State.CURRENT, files=files, problems=())
