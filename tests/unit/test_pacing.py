# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service's decisions, with a clock that the test turns."""

import itertools

import pytest
from hypothesis import given
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


def test_a_failed_audit_is_retried_though_the_cheap_look_sees_nothing() -> None:
    world = settled(error="no space")
    world.run(PACE.audit + 5 * PACE.retry_first)
    assert [why for _, why in world.repairs] == [Why.AUDIT, Why.RETRY, Why.RETRY]
    world.error = ""
    world.run(100 * PACE.retry_first)
    assert world.news == [News.FAILING, News.MENDED]


def test_a_held_lock_is_waited_for() -> None:
    world = settled(holder="dpkg holds its lock")
    world.hurt()
    world.run(20.0)
    assert world.repairs == []
    assert world.vigil.phase is Phase.BLOCKED
    world.holder = ""
    world.run(2 * PACE.blocked)
    assert len(world.repairs) == 1
    assert world.damage == ()


def test_a_repair_that_met_another_run_is_tried_again_without_alarm() -> None:
    world = settled(is_locked=True)
    world.hurt()
    world.run(5.0)
    world.is_locked = False
    world.run(5.0)
    assert world.damage == ()
    assert world.news == []


def test_what_cannot_be_repaired_is_tried_less_and_less_and_told_once() -> None:
    world = settled(error="no space")
    world.hurt()
    world.run(86400.0)
    starts = [start for start, why in world.repairs if why is not Why.AUDIT]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(
        later >= earlier
        for earlier, later in itertools.pairwise(gaps)
        if later < PACE.retry_longest / 2
    )
    assert max(gaps) <= PACE.retry_longest + PACE.audit
    assert world.news == [News.FAILING]


def test_another_cause_is_told_again() -> None:
    world = settled(error="no space")
    world.hurt()
    world.run(100.0)
    world.error = "read-only"
    world.run(100.0)
    assert [tell.cause for tell in world.tells] == ["no space", "read-only"]


def test_events_do_not_hurry_what_resists() -> None:
    world = settled(error="no space")
    world.hurt()
    for _ in range(900):
        world.run(1.0)
        world.notice()
    assert len(world.repairs) <= 8
    assert world.news == [News.FAILING]


def test_a_failed_repair_that_changes_what_differs_is_not_tried_at_once() -> None:
    world = settled(error="no space")
    world.hurt()
    world.run(0.35)
    world.damage = ("/var/lib/xen-guest-bootloader/fingerprint",)
    world.run(PACE.retry_first - 1.0)
    assert len(world.repairs) == 1


def test_other_damage_while_one_resists_is_tried_at_once() -> None:
    world = settled(error="no space")
    world.hurt()
    world.run(2.0)
    world.damage = (*DAMAGE, "/boot/xen/pvhboot-i386.elf")
    world.notice()
    world.run(1.0)
    assert len(world.repairs) == 2


def test_a_mount_lets_what_resists_be_tried_at_once() -> None:
    world = settled(error="/boot is not mounted")
    world.hurt()
    world.run(2.0)
    world.error = ""
    world.happen(Noticed(is_hopeful=True))
    world.run(1.0)
    assert len(world.repairs) == 2
    assert world.damage == ()


def test_what_mends_by_itself_is_told() -> None:
    world = settled(error="/boot is not mounted")
    world.hurt()
    world.run(2.0)
    world.damage, world.error = (), ""
    world.notice()
    world.run(1.0)
    assert world.news == [News.FAILING, News.MENDED]
    assert world.tells[-1].cause == "/boot is not mounted"
    assert world.vigil.retry == pacing.NEVER


def test_a_look_that_fails_is_told_once_and_tried_again() -> None:
    world = settled(blindness="the disk is gone")
    for _ in range(20):
        world.notice()
        world.run(1.0)
    assert world.news == [News.FAILING]
    assert world.repairs == []
    world.blindness = ""
    world.run(PACE.retry_longest)
    assert world.news == [News.FAILING, News.MENDED]


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


def test_a_fight_ends_in_ever_longer_pauses() -> None:
    world = settled()
    for _ in range(36_000):
        world.hurt()
        world.run(0.1)
        if world.vigil.phase is Phase.QUIET:
            world.run(0.1)
    assert world.news.count(News.UNDONE) == 1
    in_last_half = [start for start, _ in world.repairs if start > world.now / 2]
    assert len(in_last_half) <= 3 * PACE.crowd
    assert len(world.repairs) <= 60


def test_a_repair_that_never_helps_does_not_spin() -> None:
    world = settled(mends=False)
    world.hurt()
    world.run(3600.0)
    assert len(world.repairs) <= 50
    assert News.UNDONE in world.news


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
    assert world.vigil.phase is Phase.QUIET


def test_a_lock_that_stays_held_is_told_once_after_a_minute() -> None:
    world = settled(holder="process 7 (sleep) holds /var/lib/xen-guest-bootloader/lock")
    world.hurt()
    world.run(50)
    assert world.news == []
    world.run(3600)
    assert world.news == [News.BLOCKED]
    assert "process 7" in world.tells[0].cause
    world.holder = ""
    world.run(5)
    assert len(world.repairs) == 1
    assert world.damage == ()
    world.holder = "another"
    world.hurt()
    world.run(100)
    assert world.news == [News.BLOCKED, News.BLOCKED]


def test_repairs_that_only_meet_another_run_are_told_and_never_spin() -> None:
    world = settled(is_locked=True, duration=300.0)
    world.hurt()
    world.run(3600)
    assert world.news == [News.BLOCKED]
    assert len(world.repairs) <= 13


def test_a_repair_that_keeps_what_was_there_is_told_once_and_tried_less_and_less_often() -> None:
    """A sync that keeps a menu which boots, in place of one that does not, ends with exit code
    4 and leaves no fingerprint.
    """
    world = settled(
        pace=Pace(), error="could not be repaired; what was there before is still there"
    )
    world.hurt()
    world.run(24 * 3600)
    assert world.news == [News.FAILING]
    assert len(world.repairs) < 40
    before = len(world.repairs)
    for _ in range(100):  # its own staging, and other files of no concern
        world.notice()
        world.run(1.0)
    assert len(world.repairs) == before
    world.damage = (*DAMAGE, "/boot")  # the initrd that was missing has come
    world.error = ""
    world.notice()
    world.run(2.0)
    assert len(world.repairs) == before + 1
    assert world.news == [News.FAILING, News.MENDED]
