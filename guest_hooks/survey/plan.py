# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be there: which targets this guest wants, and for each the files, the prefix and
the modules of its second stage.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from guest_hooks.config import Config, Modules
from guest_hooks.errors import NotApplicableError
from guest_hooks.formats import moddep, pvh_bridge
from guest_hooks.model import BootFilesystem, Choices, Guest, Mode
from guest_hooks.paths import BOOT_XEN
from guest_hooks.program import PROGRAM
from guest_hooks.records import dataclass, field
from guest_hooks.targets import TARGETS, Target, named

AUTO = "auto"
NATIVE_KERNELS = re.compile(r"vmlinuz-.*-(cloud-|rt-)?amd64(-unsigned)?$")
MINIMAL = ("search_fs_uuid",)
"""What grub-install embeds for any guest whose /boot it finds by UUID, beside what that file
system needs.
"""


class FileKind(StrEnum):
    """How an installed file follows from the core image; an unwanted one must not be there."""

    CORE = "core"
    BRIDGE = "bridge"
    UNWANTED = "unwanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One file of a target's set."""

    path: str
    kind: FileKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One target and whether the guest needs it to boot; a failure of one that is not required
    is a warning.
    """

    target: Target
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one target's second stage must be.

    `modules` must all be inside; `request` is what grub-install is asked to embed beyond its own
    choice, empty for none. `choices` are those of a grub-install by hand; `is_asked` says that it
    is the one which this run is for.
    """

    target: Target
    required: bool
    files: tuple[PlannedFile, ...]
    boot: BootFilesystem
    modules: frozenset[str]
    request: tuple[str, ...]
    choices: Choices = field(default_factory=Choices)
    is_asked: bool = False
    accepts_foreign: bool = False


def wanted(
    guest: Guest, config: Config, named_targets: Sequence[str], kernels: Sequence[str]
) -> tuple[Wanted, ...]:
    """The targets to look after: those named on the command line, else the configuration's,
    `auto` being the detected platform.

    `kernels` are the names of the kernel images in /boot. Raises `NotApplicableError` where there
    is none, `UsageError` for a name that is no target.
    """
    if named_targets:
        return tuple(
            Wanted(target=named(name), required=True) for name in dict.fromkeys(named_targets)
        )
    found = (
        {target.name: Wanted(target=target, required=True) for target in _automatic(guest, kernels)}
        if AUTO in config.targets
        else {}
    )
    only_named = AUTO not in config.targets
    for name in config.targets:
        if name != AUTO and name not in found:
            found[name] = Wanted(target=named(name), required=only_named)
    if not found:
        raise NotApplicableError(
            _why_none(guest),
            hint=f"make one all the same: {PROGRAM} sync --target {next(iter(TARGETS))}",
        )
    return tuple(found.values())


def make(
    want: Wanted,
    guest: Guest,
    config: Config,
    boot: BootFilesystem,
    table: dict[str, tuple[str, ...]],
    choices: Choices = Choices(),  # noqa: B008 - frozen
) -> Plan:
    """The plan for one target; `table` is its moddep.lst, empty where GRUB's modules are not
    installed.
    """
    target = want.target
    # A module that a newer GRUB has no more is not asked for: it would keep that GRUB from being
    # installed.
    chosen = tuple(
        name for name in choices.modules if name in table and name not in config.extra_modules
    )
    extra = (*config.extra_modules, *chosen)
    match config.modules:
        case Modules.EMBEDDED:
            request = tuple(
                sorted(moddep.closure(table, [*moddep.EMBEDDED, *boot.modules]) | set(extra))
            )
        case Modules.MINIMAL:
            request = extra
        case other:
            assert_never(other)
    return Plan(
        target=target,
        required=want.required,
        files=_files(target, guest, config),
        boot=boot,
        modules=moddep.closure(table, [*request, *MINIMAL, *boot.modules]),
        request=request,
        choices=choices,
        accepts_foreign=config.accept_foreign,
    )


def content(file: PlannedFile, core: bytes) -> bytes:
    """What `file` holds when `core` is the core image; raises `FormatError` where the bridge
    can't carry it.
    """
    return pvh_bridge.wrap(core) if file.kind is FileKind.BRIDGE else core


def _automatic(guest: Guest, kernels: Sequence[str]) -> tuple[Target, ...]:
    if guest.efi:
        return ()
    fitting = [target for target in TARGETS.values() if target.mode is guest.mode]
    if guest.mode is not Mode.PV:
        return tuple(fitting)
    # A 64-bit kernel in a 32-bit guest is what the host may start next, with a 64-bit stage 1.
    widths = {guest.bits} | ({64} if any(NATIVE_KERNELS.match(name) for name in kernels) else set())
    return tuple(target for target in fitting if target.elf_class in widths)


def _files(target: Target, guest: Guest, config: Config) -> tuple[PlannedFile, ...]:
    arches = target.arches
    if len(arches) > 1:
        # What the file is, and on a 64-bit guest also what the guest is: no published stage 1
        # settles the name.
        automatic = arches if guest.bits == 64 else arches[:1]
        arches = tuple(
            dict.fromkeys(
                arch
                for name in config.pvh_names
                for arch in (automatic if name == AUTO else (name,))
            )
        )
    files = [PlannedFile(path=target.path(arch), kind=FileKind.CORE) for arch in arches]
    if target.bridge:
        # grub.cfg hands over to the bridge where it finds one: without it there is nothing to turn
        # off.
        kind = FileKind.BRIDGE if config.pvh_chainload else FileKind.UNWANTED
        files.append(PlannedFile(path=f"{BOOT_XEN}/{target.bridge}", kind=kind))
    return tuple(files)


def _why_none(guest: Guest) -> str:
    match guest.mode:
        case Mode.NONE:
            return "this machine does not run under Xen: there is no second stage to keep"
        case Mode.DOM0:
            return "this is a Xen host (dom0): it is booted by its own boot loader"
        case Mode.ARM:
            return "this is a Xen guest on ARM, where GRUB has no second stage"
        case Mode.HVM:
            return "this is an HVM guest: it boots by its own GRUB, without a second stage"
        case Mode.PV | Mode.PVH:
            return (
                "this guest boots by its own firmware (EFI), without a second stage"
                if guest.efi
                else "no target is configured"
            )
        case other:
            assert_never(other)
