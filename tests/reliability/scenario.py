# SPDX-License-Identifier: GPL-3.0-or-later
"""From what state to what state a sync brings the lab, and whether what GRUB reads in between
is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.support.debian_tree import Suite
from tests.support.fault_lab import MODULES, SECOND_STAGE, Lab, Snapshot, View

EMBEDDED = ""
MINIMAL = 'modules = "minimal"\n'
PLAIN = ("grub-install", "--target=x86_64-xen")
TEMPORARY_MARK = ".xen-guest-bootloader-"


class Start(StrEnum):
    """What a run finds."""

    FIRST = "first install"
    UPGRADE = "upgrade"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A start and GRUB's view before and after; `stand_in` may be booted on the way, for it
    needs no module directory.

    `plain` is whether Debian's grub-install does the work instead of a sync.
    """

    start: Start
    config: str
    plain: bool
    snapshot: Snapshot | None
    old: View
    new: View
    stand_in: bytes | None

    @property
    def name(self) -> str:
        """For tables."""
        if self.plain:
            return f"{self.start}, grub-install"
        return f"{self.start}, {'minimal' if self.config else 'embedded'}"

    def fault(self, view: View) -> str:
        """Why the guest would not boot, or not by what was or is to be there; empty where all
        is well.
        """
        if view.menu not in (self.old.menu, self.new.menu) and not self.plain:
            return f"grub.cfg is {_sized(view.menu)}"
        if view.core is not None and view.core == self.stand_in:
            return ""
        if view.core == self.old.core:
            needs_none = view.core is None or self.start is Start.REPAIR or self._carries_all
            return (
                ""
                if needs_none or view.modules == self.old.modules
                else "the old second stage stands without its modules"
            )
        if view.core == self.new.core:
            is_whole = self._carries_all or view.modules == self.new.modules
            return "" if is_whole else "the new second stage stands without its modules"
        return f"the second stage is {_sized(view.core)}, neither the old nor the new"

    @property
    def start_disk(self) -> Snapshot:
        """For `Lab.fresh`."""
        assert self.snapshot is not None
        return self.snapshot

    @property
    def _carries_all(self) -> bool:
        return not self.config and not self.plain


def make(lab: Lab, start: Start, *, config: str = EMBEDDED, plain: bool = False) -> Scenario:
    """Bring `lab` to `start`; the lab's configuration and GRUB are then what the run is to find."""
    lab.config = config
    empty = lab.snapshot("empty")
    stand_in = None
    if config:
        stand_in = embedded_core(lab)
        lab.fresh(empty)
    prepare(lab, start, plain=plain)
    snapshot = lab.snapshot("start")
    old = lab.view()
    _work(lab, plain=plain)
    lab.settle()
    new = lab.view()
    assert new.core, "the run made no second stage"
    assert new.modules == Suite.TRIXIE, "the run made no module directory"
    return Scenario(
        start=start,
        config=config,
        plain=plain,
        snapshot=snapshot,
        old=old,
        new=new,
        stand_in=stand_in,
    )


def prepare(lab: Lab, start: Start, *, plain: bool = False) -> None:
    """Make of an empty lab what the run is to find."""
    if start is not Start.FIRST:
        lab.grub = Suite.BOOKWORM if start is Start.UPGRADE else Suite.TRIXIE
        _work(lab, plain=plain)
    lab.grub = Suite.TRIXIE
    if start is Start.REPAIR:
        _damage(lab, plain=plain)


def embedded_core(lab: Lab) -> bytes:
    """The self-contained second stage of the newer GRUB; the lab is changed by making it."""
    config, lab.config, lab.grub = lab.config, EMBEDDED, Suite.TRIXIE
    lab.synced("--force")
    lab.config = config
    return (lab.work / SECOND_STAGE[1:]).read_bytes()


def command(lab: Lab, scenario: Scenario) -> list[str]:
    """What does the scenario's work."""
    return list(PLAIN) if scenario.plain else lab.sync_command()


def after(lab: Lab, scenario: Scenario) -> str:
    """Why the sync after a broken one did not end at `current` with nothing left over; empty
    where it did.
    """
    done = lab.sync()
    if done.returncode != 0:
        return f"the next sync ended with {done.returncode}: {done.stderr.strip()[-300:]}"
    view = lab.view()
    if view != scenario.new:
        return (
            f"after the next sync GRUB reads {_sized(view.core)}, modules {view.modules!r},"
            f" grub.cfg {_sized(view.menu)}"
        )
    left = [path for path in _everything(lab) if TEMPORARY_MARK in path.name]
    return f"left behind: {left[0]}" if left else ""


def _everything(lab: Lab) -> Iterator[Path]:
    yield from (lab.work / "boot").rglob("*")
    yield from (lab.work / "var-lib").rglob("*")


def _work(lab: Lab, *, plain: bool) -> None:
    done = lab.run(*(PLAIN if plain else lab.sync_command()))
    assert done.returncode == 0, done.stderr


def _damage(lab: Lab, *, plain: bool) -> None:
    stage = lab.work / SECOND_STAGE.lstrip("/")
    stage.write_bytes(stage.read_bytes()[:50_000])
    Path(lab.work / MODULES.lstrip("/") / "normal.mod").unlink()
    if not plain:
        (lab.work / "boot/grub/grub.cfg").unlink()


def _sized(data: bytes | None) -> str:
    return "missing" if data is None else f"{len(data)} bytes long"
