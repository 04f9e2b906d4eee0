# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests as `status` meets them: what was found, what the screen says first, how it exits."""

import calendar
from dataclasses import dataclass, replace

from guest_hooks import terminal
from guest_hooks.model import (
    BootFilesystem,
    FileStatus,
    GrubCfgStatus,
    Guest,
    KernelStatus,
    LastBoot,
    Mode,
    Problem,
    Start,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.preflight.result import Finding, Link, Preflight, Step
from guest_hooks.problems.kernels import KernelProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.repairs import Hold, ServiceStatus
from guest_hooks.report.layout import Style
from guest_hooks.report.status_screen import Scene, status_screen

NOW = float(calendar.timegm((2026, 11, 25, 14, 42, 0)))
PV_PATH = "/boot/xen/pvboot-x86_64.elf"
CLOUD = "/boot/vmlinuz-6.1.0-56-cloud-amd64"

GUEST = Guest(mode=Mode.PV, bits=64, evidence=("/sys/hypervisor/guest_type: PV",))
BOOT = BootFilesystem(
    mountpoint="/boot",
    device="/dev/xvda1",
    fs_type="ext4",
    fs_uuid="0f0e0d0c-0b0a-4908-8706-050403020100",
    grub_dir="/grub",
)
SECOND_STAGE = TargetStatus(
    target="x86_64-xen",
    required=True,
    state=State.CURRENT,
    files=(FileStatus(path=PV_PATH, state=State.CURRENT, sha256="a" * 64, size=1213872),),
    prefix="($root)/grub",
    fs_uuid=BOOT.fs_uuid,
    modules=87,
    grub_version="2.06-13+deb12u2",
)
WELL = Status(
    guest=GUEST,
    boot=BOOT,
    targets=(SECOND_STAGE,),
    grub_cfg=GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.CURRENT),
    last_boot=LastBoot(via="second-stage", prefix="(xen/xvda,gpt1)/grub", platform="xen"),
)
RUNNING = ServiceStatus(
    running=True,
    pid=400,
    since="2026-11-25T08:00:00Z",
    phase="quiet",
    look_at="2026-11-25T14:40:00Z",
    look="as it was left",
    is_well=True,
)
CHAIN = (
    Step(
        link=Link.STAGE1,
        text="Debian's PV stage 1 finds /xen/pvboot-x86_64.elf on /dev/xvda1",
    ),
    Step(link=Link.SECOND_STAGE, text=f"{PV_PATH} (x86_64-xen): current"),
    Step(link=Link.GRUB_CFG, text="the second stage reads /boot/grub/grub.cfg, 3 entries"),
    Step(link=Link.ENTRY, text="the default is 'Debian GNU/Linux'"),
    Step(link=Link.KERNEL, text="/vmlinuz-6.1.0-56-amd64", thing="/vmlinuz-6.1.0-56-amd64"),
    Step(link=Link.INITRD, text="/initrd.img-6.1.0-56-amd64"),
    Step(link=Link.ROOT, text="root=UUID=6d8a9b46-1c39-4a6f-a1a5-1d4d2f1d8a70"),
)
BOOTS = Preflight(guest=GUEST, chain=CHAIN, findings=(), unknown=("the host's type=",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What was found, the first words of the screen, and the exit code."""

    scene: Scene
    first: str
    code: int

    def screen(self, style: Style) -> list[str]:
        """The lines of `status`, as a terminal is given them."""
        return [terminal.shown(line) for line in status_screen(self.scene, style)]


def _stale() -> Status:
    problem = Problem(
        code=SecondStageProblem.GRUB_DIFFERS,
        message=f"{PV_PATH} was made by GRUB 2.06-13+deb12u1; installed is 2.06-13+deb12u2",
        hint="bring it up to date with: xen-guest-bootloader sync",
    )
    target = replace(SECOND_STAGE, state=State.STALE, grub_version="2.06-13+deb12u1")
    return replace(WELL, targets=(replace(target, problems=(problem,)),))


def _foreign() -> Status:
    problem = Problem(
        code=SecondStageProblem.FOREIGN,
        message=f"{PV_PATH} is a valid Xen image that grub-install did not make",
        hint=SecondStageProblem.FOREIGN.row.hint,
    )
    target = replace(SECOND_STAGE, state=State.FOREIGN, grub_version="", problems=(problem,))
    return replace(WELL, targets=(target,))


def _as_another_user() -> Status:
    """What a user sees who may read neither the disk nor grub.cfg."""
    not_known = Problem.of(
        SecondStageProblem.BOOT_NOT_KNOWN,
        f"the UUID of /boot's file system could not be read, so whether {PV_PATH} looks for it is"
        " not known",
    )
    unread = Problem.of(MenuProblem.NOT_KNOWN, "/boot/grub/grub.cfg can't be read by this user")
    target = replace(SECOND_STAGE, state=State.UNKNOWN, problems=(not_known,))
    menu = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.UNKNOWN, problems=(unread,))
    return replace(WELL, targets=(target,), grub_cfg=menu)


def _no_kernel() -> Status:
    problem = Problem(
        code=MenuProblem.KERNEL_GONE,
        message="/boot/grub/grub.cfg names what is no longer in /boot: vmlinuz-6.1.0-56-amd64",
        hint="make it again with: xen-guest-bootloader sync",
    )
    menu = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.STALE, problems=(problem,))
    return replace(WELL, grub_cfg=menu)


def _kernel(version: str, compression: str, state: State | None) -> KernelStatus:
    """A kernel whose copy is in this `state`, or that needs none."""
    path, copy = f"/boot/vmlinuz-{version}", f"/boot/xen/vmlinux-{version}.gz"
    missing = Problem.of(
        PvKernelProblem.MISSING,
        f"{path} is packed with {compression}, which GRUB can't unpack for a PV guest, and there is"
        f" no copy {copy}",
    )
    starts = {None: Start.ITSELF, State.CURRENT: Start.COPY}
    return KernelStatus(
        path=path,
        version=version,
        compression=compression,
        pv=starts.get(state, Start.NOT),
        pvh=Start.ITSELF,
        copy=FileStatus(path=copy, state=state) if state else None,
        problems=(missing,) if state is State.MISSING else (),
    )


KERNELS = (
    _kernel("6.12.118+deb13-amd64", "zstd", State.CURRENT),
    _kernel("6.12.111+deb13-amd64", "zstd", State.MISSING),
    _kernel("6.1.0-56-amd64", "xz", None),
)
LZ4 = Finding(
    code=KernelProblem.COMPRESSION,
    link=Link.KERNEL,
    thing=CLOUD,
    message="GRUB can't unpack this kernel (LZ4) in a PV guest",
    console="error: not xen image.",
    hint='apt install linux-image-amd64; or have the host start the guest with type="pvh"',
)
GONE = Finding(
    code=KernelProblem.MISSING,
    link=Link.KERNEL,
    thing="/boot/vmlinuz-6.1.0-56-amd64",
    message="/boot/vmlinuz-6.1.0-56-amd64 is missing, and no other kernel is left in /boot",
    console="error: file `/vmlinuz-6.1.0-56-amd64' not found.",
    hint="apt install linux-image-amd64",
)
FAILING = replace(
    RUNNING,
    repair="/boot/xen needs 2.8 MiB, and 2.5 MiB are free",
    retry_at="2026-11-25T14:47:00Z",
    is_well=False,
)
SCENES = {
    "well": Situation(
        scene=Scene(status=WELL, next_boot=BOOTS, service=RUNNING, now=NOW),
        first="will boot vmlinuz-6.1.0-56-amd64",
        code=0,
    ),
    "will not boot": Situation(
        scene=Scene(
            status=WELL, next_boot=replace(BOOTS, findings=(LZ4,)), service=RUNNING, now=NOW
        ),
        first="WILL NOT BOOT: GRUB can't unpack",
        code=3,
    ),
    "stale": Situation(
        scene=Scene(status=_stale(), next_boot=BOOTS, service=RUNNING, now=NOW),
        first="will boot vmlinuz-6.1.0-56-amd64; action needed",
        code=3,
    ),
    "failing repair": Situation(
        scene=Scene(status=_stale(), next_boot=BOOTS, service=FAILING, now=NOW),
        first="will boot vmlinuz-6.1.0-56-amd64; action needed",
        code=3,
    ),
    "held": Situation(
        scene=Scene(
            status=WELL,
            next_boot=BOOTS,
            service=RUNNING,
            hold=Hold(since=NOW - 600, until=NOW + 3 * 3600, by="alice"),
            now=NOW,
        ),
        first="will boot vmlinuz-6.1.0-56-amd64",
        code=0,
    ),
    "foreign": Situation(
        scene=Scene(status=_foreign(), next_boot=BOOTS, service=RUNNING, now=NOW),
        first="will boot vmlinuz-6.1.0-56-amd64; action needed",
        code=3,
    ),
    "not followed": Situation(
        scene=Scene(
            status=WELL,
            next_boot=replace(
                BOOTS,
                chain=CHAIN[:3],
                unknown=("which entry /boot/grub/grub.cfg starts: it has a loop without end",),
            ),
            service=RUNNING,
            now=NOW,
        ),
        first="not known: which entry",
        code=0,
    ),
    "no root": Situation(
        scene=Scene(status=_as_another_user(), service=RUNNING, now=NOW), first="not known", code=3
    ),
    "room for one copy": Situation(
        scene=Scene(
            status=replace(WELL, kernels=KERNELS), next_boot=BOOTS, service=RUNNING, now=NOW
        ),
        first="will boot vmlinuz-6.1.0-56-amd64; action needed",
        code=3,
    ),
    "no kernel left": Situation(
        scene=Scene(
            status=_no_kernel(),
            next_boot=replace(BOOTS, findings=(GONE,)),
            service=RUNNING,
            now=NOW,
        ),
        first="WILL NOT BOOT: /boot/vmlinuz-6.1.0-56-amd64 is missing",
        code=3,
    ),
}
"""Those that have a screen; an HVM guest and a wrong configuration have an error in its place."""
