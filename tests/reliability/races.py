# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, of two GRUB versions: what is left is all of one."""

import subprocess
import time
from collections.abc import Iterator, Sequence

from tests.support.debian_tree import Suite
from tests.support.fault_lab import Lab, Snapshot

DELAYS = 10
DELAY_SECONDS = 0.08
"""Between the two starts: a run takes most of a second."""


def pairs(
    lab: Lab,
    start: Snapshot,
    first: Sequence[str],
    second: Sequence[str],
    *,
    count: int,
    plain: bool = False,
) -> Iterator[str]:
    """Run two commands at the same time, one with GRUB 2.06 and one with 2.12, each first in
    turn; what was mixed.
    """
    for number in range(count):
        lab.fresh(start)
        runs = [(Suite.BOOKWORM, first), (Suite.TRIXIE, second)]
        processes = []
        for suite, command in runs if number % 2 else reversed(runs):
            lab.grub = suite
            whole, env = lab.command(*command), lab.environment()
            processes.append(
                subprocess.Popen(
                    whole, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
            time.sleep(number // 2 % DELAYS * DELAY_SECONDS)
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
    return (
        ""
        if done.returncode == 0
        else f"it is not current for {view.modules}: {done.stdout[-300:]}"
    )
