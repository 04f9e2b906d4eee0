# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests, what was found of them and what was changed, for reports to be made of."""

from dataclasses import replace

from guest_hooks.errors import NotRepairedError
from guest_hooks.model import (
    BootFilesystem,
    Change,
    FileStatus,
    GrubCfgStatus,
    Guest,
    KernelStatus,
    LastBoot,
    Mode,
    Problem,
    Severity,
    Start,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import SecondStageProblem

GUEST = Guest(
    mode=Mode.PV, bits=64, evidence=("/sys/hypervisor/type: xen", "/sys/hypervisor/guest_type: PV")
)
BOOT = BootFilesystem(
    mountpoint="/boot",
    device="/dev/xvda1",
    fs_type="ext4",
    fs_uuid="0f0e0d0c-0b0a-4908-8706-050403020100",
    grub_dir="/grub",
    modules=("ext2", "part_gpt"),
)
PV = TargetStatus(
    target="x86_64-xen",
    required=True,
    state=State.CURRENT,
    files=(
        FileStatus(
            path="/boot/xen/pvboot-x86_64.elf", state=State.CURRENT, sha256="a" * 64, size=1213872
        ),
    ),
    prefix="($root)/grub",
    fs_uuid=BOOT.fs_uuid,
    modules=87,
    grub_version="2.06-13+deb12u2",
)
PV32 = TargetStatus(
    target="i386-xen",
    required=False,
    state=State.MISSING,
    files=(FileStatus(path="/boot/xen/pvboot-i386.elf", state=State.MISSING),),
    problems=(
        Problem(
            code=SecondStageProblem.MISSING,
            message="/boot/xen/pvboot-i386.elf is missing",
            hint="make it with: xen-guest-bootloader sync",
        ),
    ),
)
PVH = TargetStatus(
    target="i386-xen_pvh",
    required=False,
    state=State.STALE,
    files=(
        FileStatus(
            path="/boot/xen/pvhboot-i386.elf", state=State.CURRENT, sha256="b" * 64, size=855840
        ),
        FileStatus(
            path="/boot/xen/pvhboot-x86_64.elf", state=State.STALE, sha256="c" * 64, size=855840
        ),
    ),
    prefix="($root)/grub",
    fs_uuid=BOOT.fs_uuid,
    modules=85,
    grub_version="2.06-13+deb12u2",
    problems=(
        Problem(
            code=SecondStageProblem.COPY_DIFFERS,
            message="/boot/xen/pvhboot-x86_64.elf does not belong to /boot/xen/pvhboot-i386.elf",
            hint="bring it up to date with: xen-guest-bootloader sync",
        ),
    ),
)
CFG = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.CURRENT)
KERNEL = KernelStatus(
    path="/boot/vmlinuz-6.12.118+deb13-amd64",
    version="6.12.118+deb13-amd64",
    compression="zstd",
    pv=Start.COPY,
    pvh=Start.ITSELF,
    copy=FileStatus(path="/boot/xen/vmlinux-6.12.118+deb13-amd64.gz", state=State.CURRENT),
)
OLDER = KernelStatus(
    path="/boot/vmlinuz-6.1.0-56-amd64",
    version="6.1.0-56-amd64",
    compression="xz",
    pv=Start.ITSELF,
    pvh=Start.ITSELF,
)
GOOD = Status(
    guest=GUEST,
    boot=BOOT,
    targets=(PV,),
    grub_cfg=CFG,
    last_boot=LastBoot(via="second-stage", prefix="(xen/xvda,gpt1)/grub", platform="xen"),
    kernels=(KERNEL, OLDER),
)
BAD = replace(
    GOOD,
    targets=(replace(PV, state=State.INVALID), PV32, PVH),
    grub_cfg=replace(
        CFG,
        state=State.STALE,
        problems=(
            Problem(
                code=MenuProblem.KERNEL_NOT_LISTED,
                message="/boot/grub/grub.cfg does not name vmlinuz-6.1",
                hint="make it again",
            ),
        ),
    ),
    last_boot=LastBoot(),
    kernels=(
        replace(
            KERNEL,
            pv=Start.NOT,
            copy=FileStatus(path=KERNEL.path, state=State.MISSING),
            problems=(
                Problem(
                    code=PvKernelProblem.MISSING,
                    message=f"there is no copy of {KERNEL.path}",
                    hint="make it with: xen-guest-bootloader sync",
                ),
            ),
        ),
    ),
    problems=(
        Problem(
            code=RunProblem.TARGET_FAILED,
            message="i386-xen: no room",
            hint="make room",
            severity=Severity.WARNING,
        ),
    ),
)
BY_STAGE1 = replace(
    GOOD,
    last_boot=LastBoot(via="stage-1", prefix="(memdisk)/boot/grub", platform="xen"),
    problems=(
        Problem(
            code=SecondStageProblem.NOT_BOOTED_BY,
            message=(
                "this boot used the host's GRUB alone, although /boot/xen/pvboot-x86_64.elf was"
                " there"
            ),
            hint="have the host start a stage 1 that looks for it",
            severity=Severity.WARNING,
        ),
    ),
)
NOWHERE = replace(
    GOOD,
    guest=Guest(mode=Mode.HVM, bits=64, efi=True),
    boot=None,
    targets=(),
    grub_cfg=None,
    kernels=(),
)
CHANGES = (
    Change(
        path="/boot/xen/pvboot-x86_64.elf",
        before="",
        after="a" * 64,
        why=(SecondStageProblem.MISSING,),
    ),
    Change(
        path="/boot/grub/grub.cfg",
        before="d" * 64,
        after="e" * 64,
        why=(MenuProblem.KERNEL_GONE, MenuProblem.KERNEL_NOT_LISTED),
    ),
)
FAILURES = (NotRepairedError("it is foreign", hint="use --adopt"),)
