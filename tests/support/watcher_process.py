# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service on a tree of a test's own, with a repair that a file describes: what the
tests of the loop start.

usage: watcher_process.py TREE

TREE/wanted lists the files that must exist; the repair makes them and adds a line to TREE/repairs.
While TREE/unrepairable exists it fails; while TREE/slow exists it waits; where TREE/waits exists it
runs a program that does not end, whose process id is in TREE/pid.
"""

import os
import sys
import time
from pathlib import Path

from guest_hooks.config import Config
from guest_hooks.daemon import watcher
from guest_hooks.daemon.glance import Glance
from guest_hooks.errors import UsageError
from guest_hooks.machine import manager, service
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import run


class Wanted(Glance):
    """Differs where a wanted file is missing."""

    def __init__(self, tree: Path) -> None:
        super().__init__()
        self.tree = tree

    def differences(self) -> tuple[str, ...]:
        with (self.tree / "looks").open("a") as file:
            file.write("look\n")
        names = (self.tree / "wanted").read_text().split()
        return tuple(name for name in names if not os.path.lexists(f"{self.tree}{name}"))

    def remember(self, *, is_repaired: bool) -> None:
        pass


def repair(tree: Path) -> manager.Repaired:
    """Make what is wanted."""
    with (tree / "repairs").open("a") as file:
        file.write("begun\n")
    while (tree / "slow").exists():
        time.sleep(0.01)
    if (tree / "waits").exists():
        run(["sh", "-c", f"echo $$ > '{tree}/pid'; exec sleep 600"], timeout=600)
    if (tree / "unrepairable").exists():
        return manager.Repaired(error="it can't be repaired")
    for name in (tree / "wanted").read_text().split():
        path = Path(f"{tree}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with (tree / "repairs").open("a") as file:
        file.write("done\n")
    return manager.Repaired()


def configure(tree: Path) -> Config:
    """The configuration; a wrong one while TREE/misconfigured exists."""
    if (tree / "misconfigured").exists():
        raise UsageError("settle_seconds: expected a number")
    return Config(settle_seconds=0.02, audit_interval=0.0)


def main(tree: Path) -> None:
    """Watch until a signal comes."""
    watching = watcher.Watcher(
        Root(str(tree)),
        configure=lambda: configure(tree),
        glance=Wanted(tree),
        fix=lambda: repair(tree),
        overseer=manager.Manager(unit=service.WATCHER),
    )
    try:
        watching.run()
    finally:
        watching.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
