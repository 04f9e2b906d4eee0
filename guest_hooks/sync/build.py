# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one target's second stage: real grub-install in staging, and everything checked that
will be installed.

Where the core image of the last sync still stands, and is the one that would be made, that is
taken; where grub-mkimage makes the same as grub-install, it does (`recipe`).
"""

from collections.abc import Mapping

from guest_hooks.errors import FormatError, NotRepairedError
from guest_hooks.formats import second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import installer
from guest_hooks.machine.receipts import TargetReceipt
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError
from guest_hooks.model import State, TargetStatus
from guest_hooks.paths import BOOT_XEN
from guest_hooks.records import dataclass, replace
from guest_hooks.survey import verdict
from guest_hooks.survey.evidence import choices, copied
from guest_hooks.survey.observed import (
    Evidence,
    Found,
    ModuleDir,
    Packaged,
    SurveyedTarget,
)
from guest_hooks.survey.plan import FileKind, Plan, content
from guest_hooks.sync import recipe

LOAD_CFG, MODINFO = "load.cfg", "modinfo.sh"
"""What grub-install also leaves beside the modules."""
KEY = ".key-"
"""What a public key is called in staging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What is to be installed: every file of the plan by path; every file of
    /boot/grub/<target>, core.elf too, by name, or None where nothing but the former is to change.

    `there` is what it was built for: what was found, and the plan with the choices it was built
    with. `status` is the verdict on what was built.
    """

    there: SurveyedTarget
    status: TargetStatus
    core: bytes
    files: Mapping[str, bytes]
    module_files: Mapping[str, bytes] | None

    @property
    def plan(self) -> Plan:
        """What was to be built."""
        return self.there.plan


def build(root: Root, there: SurveyedTarget, *, rebuild: bool = False) -> Built:
    """Make and verify; the live files stay as they are. Raises `NotRepairedError` where what
    was made may not be installed.

    Unless `rebuild`, grub-install runs only where nothing else is known to make the same bytes.
    """
    there = _with_choices(there)
    plan, packaged = there.plan, there.evidence.packaged
    known = None if rebuild else _foreseen(there) or _remade(root, there)
    if known is not None:
        return known
    # A tree's grub-install sees the file system alone, and not the partition that it is in the
    # guest.
    unseen = (
        () if root.is_live else (name for name in plan.boot.modules if name not in plan.request)
    )
    asked = (*plan.request, *unseen)
    arguments = [f"--modules={' '.join(asked)}"] if asked else []
    arguments += [] if plan.choices.has_cli else ["--disable-cli"]
    keys = {f"{KEY}{number}": key for number, key in enumerate(plan.choices.public_keys)}
    arguments += [f"--pubkey={BOOT_XEN}/{name}" for name in keys]
    try:
        with installer.staged(
            root, plan.target, [*arguments, *installer.NOTHING_ELSE], files=keys
        ) as staged:
            core, module_files = staged.core, staged.module_files()
    except CommandError as error:
        raise NotRepairedError(error.message, hint=_next_step(plan, packaged)) from error
    files = _files(plan, core)
    status = _verify(plan, files, packaged, core)
    _verify_modules(plan, module_files, there.evidence.package.files)
    _verify_choices(plan, core)
    return Built(there=there, status=status, core=core, files=files, module_files=module_files)


def foresee(there: SurveyedTarget) -> Built | None:
    """What a build would make, without running anything; None where only a build tells.

    The core image that the last sync made comes out the same as long as its modules, and the file
    system that it looks for, do.
    """
    return _foreseen(_with_choices(there))


def _with_choices(there: SurveyedTarget) -> SurveyedTarget:
    return replace(there, plan=replace(there.plan, choices=choices(there)))


def _foreseen(there: SurveyedTarget) -> Built | None:
    plan, remembered = there.plan, there.evidence.remembered
    if (remembered.request, remembered.choices) != (plan.request, plan.choices):
        return None
    return _made_of(there, recipe.standing(there))


def _remade(root: Root, there: SurveyedTarget) -> Built | None:
    """What grub-mkimage makes as grub-install would; None where that is not sure."""
    return _made_of(there, recipe.image(root, there))


def _made_of(there: SurveyedTarget, core: bytes | None) -> Built | None:
    """What grub-install leaves where it makes `core`; None where that may not be installed: it
    looks for another UUID, or is of another GRUB.
    """
    plan, package = there.plan, there.evidence.package
    if core is None:
        return None
    files = _files(plan, core)
    try:
        status = _verify(plan, files, there.evidence.packaged, core)
        _verify_choices(plan, core)
    except NotRepairedError:
        return None
    made = recipe.of(core, plan.boot.modules)
    beside = {"core.elf": core} | ({LOAD_CFG: made.config.encode()} if made else {})
    beside |= {name: data for name, data in package.files.items() if name == MODINFO}
    return Built(
        there=there,
        status=status,
        core=core,
        files=files,
        module_files={**copied(package), **beside},
    )


def _next_step(plan: Plan, packaged: Packaged) -> str:
    """What to do about a grub-install that failed."""
    unknown = sorted(set(plan.request) - packaged.modules.keys())
    if unknown:
        return (
            f"GRUB has no module {', '.join(unknown)}: correct extra_modules, or apt install"
            " --reinstall grub-xen-bin"
        )
    return f"see what it does: grub-install --target={plan.target.name} --verbose"


def _files(plan: Plan, core: bytes) -> dict[str, bytes]:
    """What is installed of a core image, by path."""
    try:
        return {
            file.path: content(file, core)
            for file in plan.files
            if file.kind is not FileKind.UNWANTED
        }
    except FormatError as error:
        raise NotRepairedError(
            f"{plan.target.name}: {error.message}", hint="please report this"
        ) from error


def _verify(
    plan: Plan, files: Mapping[str, bytes], packaged: Packaged, core: bytes
) -> TargetStatus:
    """The same verdict that `status` would give, on the bytes that are to be written."""
    made = verdict.judge(
        plan,
        Evidence(
            found={file.path: _found(files.get(file.path)) for file in plan.files},
            packaged=packaged,
            module_dir=ModuleDir(core_sha256=sha256(core)),
            remembered=TargetReceipt(),
        ),
    )
    if made.state is not State.CURRENT:
        faults = "; ".join(problem.message for problem in made.problems)
        raise NotRepairedError(
            f"grub-install for {plan.target.name} made what may not be installed: {faults}",
            hint=f"see what it is: grub-install --target={plan.target.name} --verbose",
        )
    return made


def _verify_modules(
    plan: Plan, module_files: Mapping[str, bytes], package: Mapping[str, bytes]
) -> None:
    """Whether every module of the package is in staging, as the package has it."""
    odd = [
        name.removesuffix(".mod")
        for name, data in package.items()
        if name.endswith(".mod") and module_files.get(name) != data
    ]
    if odd:
        raise NotRepairedError(
            f"grub-install for {plan.target.name} made a module directory that is not whole:"
            f" {', '.join(sorted(odd)[:5])} …",
            hint=f"see what it does: grub-install --target={plan.target.name} --verbose",
        )


def _verify_choices(plan: Plan, core: bytes) -> None:
    """Whether the keys are in, and the command line is out, as a grub-install by hand had it:
    nobody should lose that unnoticed.
    """
    made = second_stage.read(core).core
    if made is None or (made.public_keys, made.has_cli) != (
        plan.choices.public_keys,
        plan.choices.has_cli,
    ):
        raise NotRepairedError(
            f"grub-install for {plan.target.name} did not keep the options of the grub-install"
            " before it: --pubkey, --disable-cli",
            hint=(
                f"choose them again: grub-install --target={plan.target.name}, with or without them"
            ),
        )


def _found(data: bytes | None) -> Found:
    return Found() if data is None else Found(data=data, sha256=sha256(data))
