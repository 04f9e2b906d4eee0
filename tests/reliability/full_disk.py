# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system filled in 1 KiB steps over the whole range in which an upgrade may or may not
fit.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from guest_hooks.errors import ExitCode, LackingError
from guest_hooks.machine import space
from guest_hooks.machine.receipts import Receipt
from guest_hooks.machine.settling import Settling
from guest_hooks.model import BootFilesystem
from guest_hooks.survey import evidence
from guest_hooks.survey.plan import FileKind, Plan, PlannedFile
from guest_hooks.sync import commit, delta
from guest_hooks.sync.build import Built
from guest_hooks.targets import TARGETS
from tests.reliability import scenario
from tests.reliability.scenario import Scenario
from tests.support.fault_lab import MODULES, SECOND_STAGE, TARGET, Lab, cat
from tests.support.surveyed import surveyed

KIB = 1024
BEYOND = 64 * KIB
"""How far above what is asked for the sweep goes on."""


def steps(lab: Lab, made: Scenario, *, step: int = KIB) -> Iterator[str]:
    """Commit what a sync had built at every fill level, without building it again each time."""
    lab.fresh(made.start_disk)
    lab.synced()
    built = _built(lab)
    lab.fresh(made.start_disk)
    free = 0
    fitted = 0
    while fitted <= BEYOND // step:
        leave(lab, free)
        names = _names(lab)
        try:
            settling = Settling(lab.root)
            commit.install(lab.root, delta.of([_here(lab, built)]), settling)
            settling.finish()
        except LackingError as error:
            said = (
                "it needs " in error.message
                and " free" in error.message
                and "/boot/xen" in error.message
            )
            whole = cat(lab.copy(), SECOND_STAGE) == made.old.core and names == _names(lab)
            yield (
                ""
                if said and whole and not fitted
                else f"{free // KIB} KiB free: {error.message}; untouched: {whole}"
            )
        else:
            fitted += 1
            fault = made.fault(lab.view()) or (
                "" if cat(lab.copy(), SECOND_STAGE) == made.new.core else "not the new one"
            )
            yield f"{free // KIB} KiB free: {fault}" if fault else ""
            lab.fresh(made.start_disk)
        free += step


def levels(lab: Lab, made: Scenario) -> list[int]:
    """Where a whole run is to be tried: in steps over all of the range, and at every KiB where
    what happens changes.
    """
    least = enough(lab, made)
    below = 128 if made.plain else 12
    coarse = range(0, least + BEYOND, 64 * KIB if made.plain else 256 * KIB)
    return sorted(
        {*coarse, *range(0, 12 * KIB, KIB), *range(least - below * KIB, least + 4 * KIB, KIB)}
    )


def runs(lab: Lab, made: Scenario, chosen: Sequence[int]) -> Iterator[str]:
    """Whole runs, with all they write beside, with as many bytes free as each of `chosen` says."""
    for free in chosen:
        lab.fresh(made.start_disk)
        leave(lab, free)
        done = lab.run(*scenario.command(lab, made))
        lab.settle()
        fault = made.fault(lab.view())
        if not fault and not made.plain:
            if done.returncode not in (ExitCode.OK, ExitCode.LACKING):
                fault = f"it ended with {done.returncode}: {done.stderr[-300:]}"
            elif done.returncode and not (
                "it needs " in done.stderr and " free" in done.stderr and "/boot" in done.stderr
            ):
                fault = f"it does not say path, need and have: {done.stderr[-300:]}"
            (lab.work / "boot/ballast").unlink(missing_ok=True)
            fault = fault or scenario.after(lab, made)
        yield f"{made.name}, {free // KIB} KiB free: {fault}" if fault else ""


def enough(lab: Lab, made: Scenario) -> int:
    """The least that a whole run must find free to end well, to the KiB."""
    low, high = 0, 16 * 1024
    while high - low > 1:
        middle = (low + high) // 2
        lab.fresh(made.start_disk)
        leave(lab, middle * KIB)
        low, high = (
            (low, middle)
            if lab.run(*scenario.command(lab, made)).returncode == 0
            else (middle, high)
        )
    return high * KIB


def leave(lab: Lab, free: int) -> None:
    """Fill the file system until root can write `free` bytes more."""
    fd = os.open(lab.work / "boot/ballast", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        block = os.fstatvfs(fd).f_frsize
        for _ in range(16):  # the ballast's own extents take a block now and then
            excess = space.free(lab.root, "/boot") - free
            if abs(excess) < block:
                break
            size = os.fstat(fd).st_size
            if excess < 0:
                os.ftruncate(fd, max(0, size + excess // block * block))
            else:
                with suppress(OSError):
                    os.posix_fallocate(fd, size, excess // block * block)
        os.fsync(fd)
    finally:
        os.close(fd)


def _names(lab: Lab) -> list[str]:
    return sorted(str(path) for path in (lab.work / "boot").rglob("*"))


def _built(lab: Lab) -> Built:
    core = (lab.work / SECOND_STAGE[1:]).read_bytes()
    plan = Plan(
        target=TARGETS[TARGET],
        required=True,
        files=(PlannedFile(path=SECOND_STAGE, kind=FileKind.CORE),),
        boot=BootFilesystem(
            mountpoint="/boot",
            device="",
            fs_type=lab.fs_type,
            fs_uuid="",
            grub_dir="/grub",
            drive="",
            modules=(),
        ),
        modules=frozenset(),
        request=(),
    )
    modules = {path.name: path.read_bytes() for path in (lab.work / MODULES[1:]).iterdir()}
    there = surveyed(plan)
    return Built(
        there=there,
        status=there.status,
        core=core,
        files={SECOND_STAGE: core},
        module_files=modules,
    )


def _here(lab: Lab, built: Built) -> Built:
    """`built`, to be installed over what stands there now."""
    package = evidence.package_files(lab.root, built.plan.target)
    found = evidence.gather(lab.root, built.plan, Receipt(), package)
    return replace(built, there=replace(built.there, evidence=found))
