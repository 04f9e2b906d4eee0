# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest for the repair service's decisions, with a clock that the test turns."""

from dataclasses import dataclass, field

import pytest

from guest_hooks.daemon import events, pacing
from guest_hooks.daemon.events import (
    Action,
    Ended,
    Look,
    News,
    Noticed,
    Repair,
    Seen,
    Tell,
    Tick,
    Why,
)
from guest_hooks.daemon.pacing import Pace, Vigil

PACE = Pace(settle=0.3, audit=1000.0)
DAMAGE = ("/boot/xen/pvboot-x86_64.elf",)


@dataclass
class World:
    """A guest with something to damage: looks see `damage`, repairs take `duration` and fail
    with `error`, or end it.
    """

    pace: Pace = PACE
    now: float = 0.0
    damage: tuple[str, ...] = ()
    error: str = ""
    blindness: str = ""
    is_waiting: bool = False
    holder: str = ""
    duration: float = 0.2
    mends: bool = True
    is_locked: bool = False
    looks: list[float] = field(default_factory=list)
    repairs: list[tuple[float, Why]] = field(default_factory=list)
    tells: list[Tell] = field(default_factory=list)
    ending: float = pacing.NEVER

    def __post_init__(self) -> None:
        self.vigil: Vigil = pacing.begin(self.now, self.pace)

    def happen(self, happening: events.Happening) -> None:
        self.vigil, actions = pacing.step(self.vigil, happening, self.now, self.pace)
        for action in actions:
            self.act(action)

    def act(self, action: Action) -> None:
        match action:
            case Look():
                self.looks.append(self.now)
                self.happen(
                    Seen(
                        differences=self.damage,
                        holder=self.holder,
                        error=self.blindness,
                        is_waiting=self.is_waiting,
                    )
                )
            case Repair():
                self.repairs.append((self.now, action.why))
                self.ending = self.now + self.duration
            case Tell():
                self.tells.append(action)

    def notice(self) -> None:
        self.happen(Noticed())

    def hurt(self) -> None:
        self.damage = DAMAGE
        self.notice()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(100_000):
            due = min(self.ending, self.vigil.wake)
            if due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            if self.ending <= self.now:
                self.ending = pacing.NEVER
                if not self.error and not self.is_locked and self.mends:
                    self.damage = ()
                self.happen(Ended(error=self.error, is_locked=self.is_locked))
            else:
                self.happen(Tick())
        pytest.fail("a busy loop")

    @property
    def news(self) -> list[News]:
        return [tell.news for tell in self.tells]


def settled(**changes: object) -> World:
    """A world after its first look, with nothing on record."""
    world = World(**changes)  # type: ignore[arg-type]
    damage, world.damage = world.damage, ()
    blindness, world.blindness = world.blindness, ""
    world.run(0.0)
    assert world.looks == [0.0]
    world.looks.clear()
    world.damage, world.blindness = damage, blindness
    return world
