# SPDX-License-Identifier: GPL-3.0-or-later
"""No run replaces what would boot by what would not, by preflight's own verdict; `--force` does.

Both are judged alike: preflight follows the next boot by what is there and by what was made, from
the second stage to the root file system. Only what is known to end the boot keeps something back: a
menu that preflight can't follow is replaced and replaces.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

from guest_hooks.config import Config, Modules, Stage1
from guest_hooks.errors import GuestHooksError, KeptError, NotRepairedError
from guest_hooks.formats.compression import GRUB_XEN_UNPACKS
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import boot_features, dpkg
from guest_hooks.machine.overlay import Overlay
from guest_hooks.machine.receipts import Kept, Receipt
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import GrubCfgStatus, Mode, Start, State, Status, TargetStatus
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight.result import Finding
from guest_hooks.program import SYNC
from guest_hooks.records import replace
from guest_hooks.survey import menu_kernels
from guest_hooks.survey.observed import SurveyedTarget
from guest_hooks.survey.status import MODULES_OF, Survey
from guest_hooks.sync.build import Built

_MADE_OF = ("kernel.img", "moddep.lst")
"""What every second stage is made of, beside modules."""


def menu(
    root: Root, config: Config, status: Status, made: bytes, *, run: Run = run
) -> tuple[Finding, ...]:
    """What would end the next boot by the menu `made`, where it works by the menu there is.

    `status` is that of the guest as it is, but for second stages that were installed since.
    """
    # Few runs make a menu.
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415
    from guest_hooks.preflight.change import View, ends_booting  # noqa: PLC0415

    valid = GrubCfgStatus(path=GRUB_CFG, state=State.CURRENT)
    before = View(root=root, status=status)
    after = View(root=Overlay(root.path, {GRUB_CFG: made}), status=replace(status, grub_cfg=valid))
    memory = Memory(root)
    found = ends_booting(before, after, config, memory, run=run)
    if root.is_live:
        memory.save()
    return found


def messages(against: Sequence[Finding]) -> str:
    """What these say, each once."""
    return "; ".join(dict.fromkeys(finding.message for finding in against))


def step(against: Sequence[Finding]) -> str:
    """What a person can do where these kept something: the first one's own step, or to take the
    new one.
    """
    first = next((finding.hint for finding in against if finding.hint), "correct what is named")
    return f"{first}; or use the new one all the same: {SYNC} --force"


def judge(
    root: Root, config: Config, status: Status | None
) -> Callable[[bytes], tuple[Finding, ...]]:
    """What `menu` has against a grub.cfg; nothing where there is no `status` to judge it by."""
    return (lambda _made: ()) if status is None else partial(menu, root, config, status)


def second_stage(root: Root, found: Survey, there: SurveyedTarget) -> None:
    """Raise `NotRepairedError` where a second stage that is made now could end a boot that
    the present one does not end.

    What is built is verified to be what GRUB's package makes. That is worth nothing while the
    package is half installed or damaged, nor where the guest is known to be started by something
    that can do more than the guest's own GRUB.
    """
    plan, status, name = there.plan, there.status, there.name
    if _ends(found, status):
        return
    if dpkg.recorded(root, [MODULES_OF]).get(MODULES_OF) == dpkg.HALF_INSTALLED:
        raise NotRepairedError(
            f"no second stage was made for {name}: {MODULES_OF} is half-installed, and its modules"
            " may be of two versions",
            hint=f"apt install --reinstall {MODULES_OF}; or: {SYNC} --force",
        )
    if altered := _altered(root, found, there):
        raise _kept(
            there,
            f"of the modules that a new one is made of, {', '.join(altered)} are not as"
            f" {MODULES_OF} has them, and by damaged ones this guest would not boot",
            hint=f"apt install --reinstall {MODULES_OF}; or use them all the same: {SYNC} --force",
        )
    is_first = _is_first(there)
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


def replacement(root: Root, found: Survey, made: Built, *, run: Run = run) -> tuple[Finding, ...]:
    """What would end the next boot by the second stage `made`, and does not by what is there.

    The first one of a guest is followed to the root file system: until now the host's GRUB has read
    the menu, without the guest's saved choice. One that replaces another reads the same menu.
    """
    ends = _ends(found, made.status)
    if ends or not _is_first(made.there):
        return () if _ends(found, made.there.status) else ends
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415 - once in a guest
    from guest_hooks.preflight.change import View, ends_booting  # noqa: PLC0415 - as above

    before = View(root=root, status=found.status)
    after = View(root=root, status=with_installed(found.status, [made]))
    return ends_booting(before, after, found.config, Memory(root), run=run)


def require_replacement(root: Root, found: Survey, made: Built, *, run: Run = run) -> None:
    """Raise `KeptError` where there is something against `made`; see `replacement`."""
    against = replacement(root, found, made, run=run)
    if against:
        raise _kept(
            made.there,
            f"by the one that was made now this guest would not boot: {messages(against)}",
            hint=step(against),
            made=made.core,
        )


def with_installed(status: Status, built: Sequence[Built]) -> Status:
    """`status` after the second stages `built` have been installed."""
    made = {each.plan.target.name: each.status for each in built}
    return replace(status, targets=tuple(made.get(each.target, each) for each in status.targets))


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
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415 - as above

    path = f"/boot/vmlinuz-{os.uname().release}"
    facts = Memory(root).kernel(path) if root.is_live and root.exists(path) else None
    packing = facts.compression if facts else ""
    return packing if packing and packing not in GRUB_XEN_UNPACKS else ""


def _is_first(there: SurveyedTarget) -> bool:
    return there.status.state is State.MISSING and not there.evidence.remembered.core_sha256


def _ends(found: Survey, target: TargetStatus) -> tuple[Finding, ...]:
    """What ends a boot by the second stage of this verdict."""
    from guest_hooks.preflight.links import second_stage as link  # noqa: PLC0415 - few build one

    boot = found.status.boot
    if boot is None:
        return ()
    features = boot_features.of_boot(boot)
    findings = link.findings(target, boot, found.config.modules, features)
    return tuple(finding for finding in findings if finding.stops)


def _altered(root: Root, found: Survey, there: SurveyedTarget) -> tuple[str, ...]:
    """The names of the files that a boot needs and that GRUB's package has otherwise."""
    where = there.plan.target.lib_dir
    needed = {*_MADE_OF, *(f"{module}.mod" for module in there.plan.modules)}
    reads_all = found.config.modules is Modules.MINIMAL
    files = {
        f"{where}/{name}": data
        for name, data in there.evidence.package.files.items()
        if reads_all or name in needed
    }
    altered = dpkg.altered(root, MODULES_OF, files)
    return tuple(path.removeprefix(f"{where}/") for path in altered)


def _kept(there: SurveyedTarget, why: str, *, hint: str, made: bytes = b"") -> KeptError:
    path = there.status.path
    return KeptError(
        f"{path} was kept: {why}",
        path=path,
        before=there.evidence.found[path].sha256,
        made=sha256(made) if made else "",
        hint=hint,
    )


def _note(error: KeptError) -> Kept:
    return Kept(sha256=error.before, made_sha256=error.made, message=error.message, hint=error.hint)
