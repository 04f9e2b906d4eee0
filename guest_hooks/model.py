# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts every layer speaks of: frozen, without behaviour beyond what follows from their own
fields.
"""

from enum import StrEnum
from typing import Self

from guest_hooks.problems import row
from guest_hooks.problems.row import Actor, ProblemCode
from guest_hooks.records import dataclass, field, replace

Severity = row.Severity
State = row.State


class Mode(StrEnum):
    """How this machine runs, as far as its boot loader is concerned."""

    PV = "pv"
    PVH = "pvh"
    HVM = "hvm"
    DOM0 = "dom0"
    ARM = "arm"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Which guest this is; `evidence` holds "PATH: what it said" lines, `bits` is the width of
    the running kernel.
    """

    mode: Mode
    bits: int
    efi: bool = False
    evidence: tuple[str, ...] = ()

    @property
    def hypervisor(self) -> str:
        """`xen` or `none`."""
        return "none" if self.mode is Mode.NONE else "xen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory as GRUB finds it: the file system it lies on, and its path from the top of
    that, links followed.
    """

    device: str
    fs_type: str
    fs_uuid: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The features of a file system that the GRUB of this version does not read, as mkfs names
    them; `readers` is the first version that reads them all, empty where none does yet. Where no
    feature is known to be the cause, there are none, and `words` is what GRUB says.
    """

    features: tuple[str, ...]
    version: str
    readers: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFilesystem:
    """The file system that holds /boot, and where on the disks the directories are that GRUB reads.

    `mountpoint`, `device`, `fs_type` and `fs_uuid` are those of /boot as the guest sees it; `top`
    is the path within its file system that is mounted at `mountpoint`. `grub_dir` is /boot/grub as
    a path on the file system it lies on, `drive` GRUB's name for that (`(lvmid/…)`) where GRUB
    cannot find it by UUID alone, else empty; `modules` are the GRUB modules (file system, partition
    map, RAID, LVM, LUKS) without which a second stage cannot read it. `grub` and `xen` say where
    /boot/grub and /boot/xen are, None where they are simply in /boot. `is_known` is False where
    neither GRUB nor udev could be asked. `unreadable` says why this guest's GRUB can't read them.
    """

    mountpoint: str
    device: str
    fs_type: str
    fs_uuid: str
    grub_dir: str
    drive: str = ""
    modules: tuple[str, ...] = ()
    boot_dir: str = ""
    top: str = ""
    grub: Place | None = None
    xen: Place | None = None
    is_known: bool = True
    unreadable: "Unreadable | None" = None

    @property
    def boot_place(self) -> Place:
        """/boot: where kernels are, and what the menu's `search` looks for."""
        path = self.boot_dir or self.grub_dir.removesuffix("/grub") or "/"
        return Place(device=self.device, fs_type=self.fs_type, fs_uuid=self.fs_uuid, path=path)

    @property
    def grub_place(self) -> Place:
        """/boot/grub: what a second stage looks for."""
        return self.grub or replace(self.boot_place, path=self.grub_dir)

    @property
    def xen_place(self) -> Place:
        """/boot/xen: what stage 1 looks for."""
        return self.xen or replace(self.boot_place, path=f"{self.boot_place.path.rstrip('/')}/xen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a grub-install by hand put into a second stage, and what later ones keep: more
    modules, keys, no command line.

    `public_keys` are as they were given to `--pubkey`, `has_cli` is False after `--disable-cli`.
    """

    modules: tuple[str, ...] = ()
    public_keys: tuple[bytes, ...] = ()
    has_cli: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: its `code`, a sentence that names the thing and the cause, and the next step."""

    code: ProblemCode
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    actor: Actor = Actor.HERE

    @classmethod
    def of(
        cls,
        code: ProblemCode,
        message: str,
        *,
        severity: Severity | None = None,
        **fields: str,
    ) -> Self:
        """The problem `code` with the hint of the table, whose fields are filled in."""
        return cls(
            code=code,
            message=message,
            hint=code.row.hint.format(**fields),
            severity=severity or code.row.severity,
            actor=code.row.actor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One installed file; `sha256` is empty and `size` 0 where it is missing or was not read."""

    path: str
    state: State
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """The verdict for one target; `files` lists every file of its set, the protocol's own first.

    `lacking` are the modules that the second stage should hold and does not; `lost` are those of
    them that it does not find in /boot/grub/<target> either. `is_accepted`: it is foreign, and the
    configuration says that it may be, or `rollback` put it back.
    """

    target: str
    required: bool
    state: State
    files: tuple[FileStatus, ...]
    prefix: str = ""
    fs_uuid: str = ""
    modules: int = 0
    grub_version: str = ""
    problems: tuple[Problem, ...] = ()
    lacking: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    is_accepted: bool = False
    checks_signatures: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do: it is current, or the admin's own."""
        return self.state is State.CURRENT or self.is_accepted

    @property
    def path(self) -> str:
        """The protocol's file."""
        return self.files[0].path


class MenuFault(StrEnum):
    """What is wrong with the text of a grub.cfg."""

    EMPTY = "empty"
    CUT_OFF = "cut off"
    REFUSED = "refused by GRUB's parser"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubCfgStatus:
    """The verdict for grub.cfg; `fault` says why its text is invalid, `is_by_hand` whose it is."""

    path: str
    state: State
    problems: tuple[Problem, ...] = ()
    fault: MenuFault | None = None
    is_by_hand: bool = False


class Start(StrEnum):
    """How GRUB starts a kernel in one mode: the file itself, the copy in /boot/xen, or not."""

    ITSELF = "itself"
    COPY = "copy"
    NOT = "not"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStatus:
    """One kernel of the menu, and how it starts in each mode.

    `copy` is the verdict on its copy for PV, None where none is wanted; see `formats.pv_kernel`.
    """

    path: str
    version: str
    compression: str
    pv: Start
    pvh: Start
    copy: FileStatus | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBoot:
    """By which GRUB this boot came: `via` is `second-stage`, `stage-1` or `unknown`; the rest
    is GRUB's own word, or empty.
    """

    via: str = "unknown"
    prefix: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `status` found; `boot` is None where /boot's file system could not be told (a
    problem says why).
    """

    guest: Guest
    boot: BootFilesystem | None
    targets: tuple[TargetStatus, ...]
    grub_cfg: GrubCfgStatus | None
    last_boot: LastBoot = field(default_factory=LastBoot)
    problems: tuple[Problem, ...] = ()
    kernels: tuple[KernelStatus, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do: required targets current, grub.cfg current, no error
        among the problems, those of kernels included.
        """
        kernels = (problem for kernel in self.kernels for problem in kernel.problems)
        return (
            all(target.is_settled for target in self.targets if target.required)
            and (self.grub_cfg is None or self.grub_cfg.state is State.CURRENT)
            and not any(p.severity is Severity.ERROR for p in (*self.problems, *kernels))
        )


class Reason(StrEnum):
    """Why a file was replaced though nothing was wrong with it."""

    FORCED = "forced"
    ROLLBACK = "rollback"


Why = ProblemCode | Reason
"""What led to a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that changed: its sha256 `before` and `after`, each or empty, and `why`."""

    path: str
    before: str
    after: str
    why: tuple[Why, ...]
