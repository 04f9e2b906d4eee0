"""Two runs at once, of one GRUB version and of two: what is left is all of one."""

import subprocess
import time
from collections.abc import Iterator, Sequence

from tests.support.debian_tree import Suite
from tests.support.fault_lab import Lab, Snapshot


def pairs(
    lab: Lab, start: Snapshot, first: Sequence[str], second: Sequence[str], *, count: int, plain: bool = False
) -> Iterator[str]:
    """Run two commands at the same time, `first` with GRUB 2.06 and `second` with 2.12, and say what was mixed."""
    for number in range(count):
        lab.fresh(start)
        processes = []
        for suite, command in ((Suite.BOOKWORM, first), (Suite.TRIXIE, second)):
            lab.grub = suite
            processes.append(
                subprocess.Popen(
                    lab.command(*command), env=lab.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
            time.sleep(number % 10 * 0.03)
        said = [process.communicate(timeout=120)[1] for process in processes]
        codes = [process.returncode for process in processes]
        fault = _mixed(lab, plain=plain)
        if not fault and not plain and any(codes):
            fault = f"exit codes {codes}: {said}"
        yield f"pair {number}: {fault} (exit codes {codes})" if fault else ""


def _mixed(lab: Lab, *, plain: bool) -> str:
    """Why what is there is not all of one GRUB."""
    lab.settle()
    view = lab.view()
    if not view.modules:
        return "the module directory is of neither GRUB"
    if view.core is None or len(view.core) < 10_000:
        return "the second stage is missing or cut off"
    core = lab.work / "boot/grub/x86_64-xen/core.elf"
    if core.read_bytes() != view.core:
        return "the second stage is not the module directory's core image"
    if plain:
        return ""
    lab.grub = Suite(view.modules)
    done = lab.sync("--dry-run")
    return "" if done.returncode == 0 else f"it is not current for {view.modules}: {done.stdout[-300:]}"
