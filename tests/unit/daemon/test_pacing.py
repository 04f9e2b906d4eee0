# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service's decisions, with a clock that the test turns."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guest_hooks.daemon import pacing
from guest_hooks.daemon.events import News, Noticed, Reloaded, Why
from guest_hooks.daemon.pacing import Pace, Phase
from tests.support.vigil_world import DAMAGE, PACE, World, settled


def test_the_first_look_is_at_once_and_repairs() -> None:
    world = World(damage=DAMAGE)
    world.run(1.0)
    assert world.repairs == [(0.0, Why.CHANGED)]
    assert world.damage == ()


def test_damage_is_repaired_after_quiet_time() -> None:
    world = settled()
    world.hurt()
    world.run(5.0)
    assert world.repairs == [(0.3, Why.CHANGED)]
    assert world.news == []


@pytest.mark.parametrize(
    ("pace", "closed", "at"),
    [
        pytest.param(PACE, [True], 0.05, id="closed"),
        pytest.param(PACE, [True, False], 0.3, id="another-is-written"),
        pytest.param(PACE, [False, True], 0.05, id="the-writer-has-closed-it"),
        pytest.param(Pace(settle=0.01), [True], 0.01, id="no-longer-than-asked-for"),
    ],
)
def test_who_has_closed_a_file_is_not_waited_for(pace: Pace, closed: list[bool], at: float) -> None:
    world = settled(pace=pace, damage=DAMAGE)
    for each in closed:
        world.happen(Noticed(is_closed=each))
    world.run(5.0)
    assert world.repairs == [(at, Why.CHANGED)]


def test_a_repair_costs_one_more_look() -> None:
    world = settled()
    world.hurt()
    world.run(0.4)
    for _ in range(50):  # its own writes
        world.notice()
    world.run(5.0)
    assert len(world.repairs) == 1
    assert len(world.looks) == 2


def test_events_without_damage_cost_a_look_each_quiet_time() -> None:
    world = settled()
    world.notice()
    world.run(5.0)
    assert world.looks == [0.3]
    assert world.repairs == []


def test_a_burst_is_one_look() -> None:
    world = settled(damage=DAMAGE)
    for _ in range(10_000):
        world.notice()
        world.run(0.0005)
    world.run(5.0)
    assert len(world.repairs) == 1
    assert len(world.looks) == 2


def test_events_without_end_are_looked_at_when_patience_ends() -> None:
    world = settled()
    while world.now < 2.5 * PACE.patience:
        world.notice()
        world.run(0.1)
    assert len(world.looks) == 2


def test_nothing_is_due_when_nothing_happens() -> None:
    world = settled(pace=Pace(audit=0.0))
    assert world.vigil.wake == pacing.NEVER
    assert world.vigil.phase is Phase.QUIET


@pytest.mark.parametrize(
    "audit", [pytest.param(1000.0, id="config"), pytest.param(86400.0, id="default")]
)
def test_an_audit_repairs_without_an_event(audit: float) -> None:
    world = settled(pace=Pace(audit=audit))
    world.run(2.5 * audit)
    assert world.repairs == [(audit, Why.AUDIT), (2 * audit, Why.AUDIT)]
    assert world.news == []


def test_a_boot_that_is_not_mounted_is_told_once_and_waited_for() -> None:
    world = settled(is_waiting=True, blindness="/boot is not mounted")
    world.hurt()
    world.run(500)
    assert (world.news, world.repairs) == ([News.FAILING], [])
    assert world.tells[0].retry == pacing.NEVER
    looks = len(world.looks)
    world.notice()
    world.run(100)
    assert (world.news, len(world.looks)) == ([News.FAILING], looks + 1)
    world.blindness = ""
    world.happen(Noticed(is_hopeful=True))
    world.run(10)
    assert len(world.repairs) == 1
    assert world.news == [News.FAILING, News.MENDED]


def test_reload_forgets_failures_and_looks_now() -> None:
    world = settled(error="no space")
    world.hurt()
    world.run(500.0)
    tries = len(world.repairs)
    world.error = ""
    world.happen(Reloaded())
    world.run(1.0)
    assert len(world.repairs) == tries + 1
    assert world.damage == ()


def test_reload_during_a_repair_starts_no_second_one() -> None:
    world = settled(duration=10.0)
    world.hurt()
    world.run(1.0)
    world.happen(Reloaded())
    world.run(5.0)
    assert len(world.repairs) == 1
    assert world.vigil.phase is Phase.REPAIRING


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["notice", "hurt", "lock", "unlock", "fail", "work", "blind", "see", "reload"]
        ),
        st.floats(min_value=0.0, max_value=50.0, allow_nan=False),
    ),
    max_size=40,
)


@example([("notice", 50.0)] * 4)
@given(STEPS)
def test_whatever_happens_in_the_end_all_is_well_and_nothing_spins(
    steps: list[tuple[str, float]],
) -> None:
    world = settled()
    for what, pause in steps:
        match what:
            case "notice":
                world.notice()
            case "hurt":
                world.hurt()
            case "lock" | "unlock":
                world.holder = "dpkg" if what == "lock" else ""
            case "fail" | "work":
                world.error = "no space" if what == "fail" else ""
            case "blind" | "see":
                world.blindness = "gone" if what == "blind" else ""
            case "reload":
                world.happen(Reloaded())
        running = world.vigil.phase is Phase.REPAIRING
        world.run(pause)
        assert not (
            running and world.ending == pacing.NEVER and world.vigil.phase is Phase.REPAIRING
        )
    world.holder = world.error = world.blindness = ""
    world.notice()
    world.run(3 * PACE.retry_longest)
    assert world.damage == ()
    assert not world.vigil.failures
    if world.repairs and world.repairs[-1] == (world.now, Why.AUDIT):  # begun at this very moment
        world.run(PACE.retry_first)
    assert world.vigil.phase is Phase.QUIET
