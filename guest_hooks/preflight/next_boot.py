# SPDX-License-Identifier: GPL-3.0-or-later
"""Will the next boot work: follow it link by link, as it will happen, and say what is in the
way.
"""

from collections.abc import Sequence

from guest_hooks.boot_images import InitrdFacts
from guest_hooks.config import Config
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import Guest, Mode, Status
from guest_hooks.preflight import facts, files, tools
from guest_hooks.preflight.follow import FSTAB, Way
from guest_hooks.preflight.links import initrds, kernels, root_way
from guest_hooks.preflight.needs import Kernel, Needs
from guest_hooks.preflight.result import Finding, Preflight
from guest_hooks.preflight.steps import Steps
from guest_hooks.preflight.surroundings import Surroundings
from guest_hooks.targets import TARGETS, pv_kernel
from guest_hooks.volumes import BlockDevice


def preflight(
    root: Root,
    config: Config,
    status: Status,
    *,
    devices: tuple[BlockDevice, ...] | None = None,
    memory: Memory | None = None,
    run: Run = run,
) -> Preflight:
    """Follow the next boot of the guest that `status`, a survey of the same tree, describes.

    What is learnt of kernels and initrds is in `memory`, for the caller to save: nothing is written
    here.

    `devices` are the guest's disks where the caller knows them; else a running guest's are looked
    up, and an image's are not known.
    """
    boot = status.boot
    modes = tuple(
        dict.fromkeys(TARGETS[target.target].mode for target in status.targets if target.required)
    )
    if boot is None or not modes:
        return Preflight(
            guest=status.guest,
            chain=(),
            findings=(),
            unknown=("everything: /boot's file system is not known",),
        )
    devices = facts.devices(root, boot, run=run) if devices is None else devices
    memory = memory or Memory(root)
    ways = [
        Way(
            root=root,
            config=config,
            status=status,
            boot=boot,
            devices=devices,
            memory=memory,
            mode=mode,
            run=run,
        ).follow()
        for mode in modes
    ]
    beside = Surroundings(
        root=root, config=config, boot=boot, devices=devices, last_boot=status.last_boot
    )
    findings = {
        (finding.code, finding.thing, finding.message): finding
        for way in ways
        for finding in (*way.findings, *beside.findings(way))
    }
    return Preflight(
        guest=status.guest,
        chain=tuple(step for way in ways for step in way.chain),
        findings=tuple(findings.values()),
        unknown=tuple(
            dict.fromkeys(item for way in ways for item in (*way.unknown, *beside.unknown(way)))
        ),
    )


def kernel_problems(
    root: Root, guest: Guest, version: str, memory: Memory, *, modes: Sequence[Mode] = ()
) -> tuple[Finding, ...]:
    """What keeps the kernel `version`, just installed, from booting in this guest's mode (or in
    each of `modes`).

    Looks at /boot/vmlinuz-VERSION, its initrd and its configuration; errors are those of a boot by
    that kernel.
    """
    path, initrd = f"/boot/vmlinuz-{version}", f"/boot/initrd.img-{version}"
    kernel, pairs = _read(root, memory, path, initrd if root.exists(initrd) else "")
    found: list[Finding] = []
    for mode in modes or (guest.mode,):
        needs = _needs(root, mode, guest.bits)
        started = _copy_for_pv(root, memory, kernel, version) if mode is Mode.PV else kernel
        if mode in (Mode.PV, Mode.PVH):
            found += [
                *kernels.kernel_findings(started, needs),
                *initrds.initrd_findings(started, pairs, needs),
            ]
    return tuple(dict.fromkeys(found))


def _copy_for_pv(root: Root, memory: Memory, kernel: Kernel, version: str) -> Kernel:
    """What a PV boot starts: the copy of `kernel` where there is one of it, else itself."""
    path = pv_kernel(version)
    copy = memory.kernel(path) if kernel.facts is not None and kernel.facts.sha256 else None
    if copy is None or kernel.facts is None or copy.source != kernel.facts.sha256:
        return kernel
    return files.kernel(root, path, copy)


def unfit(root: Root, path: str, initrd: str) -> Finding | None:
    """Why the kernel at `path` with `initrd` (empty: none) reaches no root file system, however
    the guest is started.

    None also where that can't be told.
    """
    kernel, pairs = _read(root, Memory(root), path, initrd)
    needs = _needs(root, Mode.NONE)
    found = (
        *kernels.kernel_findings(kernel, needs),
        *initrds.initrd_findings(kernel, pairs, needs),
    )
    return next((finding for finding in found if finding.stops), None)


def _read(
    root: Root, memory: Memory, path: str, initrd: str
) -> tuple[Kernel, list[tuple[str, InitrdFacts | None]]]:
    """The kernel at `path`, and `initrd` in the shape that the initrd's link takes it in."""
    kernel = files.kernel(root, path, memory.kernel(path))
    return kernel, [(initrd, memory.initrd(initrd))] if initrd else []


def _needs(root: Root, mode: Mode, bits: int = 64) -> Needs:
    way = root_way.way(None, root.read_text(FSTAB) or "", ())
    steps = Steps(maker=tools.initrd_maker(root), bits=bits)
    return Needs(mode=mode, widths=frozenset({bits}), drivers=way.drivers, steps=steps)
