# SPDX-License-Identifier: GPL-3.0-or-later
"""When the repair service tries again what it could not repair, and how often it says so."""

import itertools

from guest_hooks.daemon import pacing
from guest_hooks.daemon.events import News, Noticed, Why
from guest_hooks.daemon.pacing import Pace, Phase
from tests.support.vigil_world import DAMAGE, PACE, settled


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
