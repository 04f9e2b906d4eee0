# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench makes of figures: which limits are kept, and that one which is not, or was not
measured, fails it.
"""

import re
import subprocess

import pytest

from bench import growth, limits, vigil
from bench.limits import LIMITS, Measured
from bench.measure import Command, in_turns
from guest_hooks.daemon.pacing import Pace
from tests.support.checkout import CHECKOUT

KEPT = {limit.name: Measured(value=limit.most) for limit in LIMITS}
"""Each figure just within its limit."""


def test_all_its_parts_can_be_loaded() -> None:
    done = subprocess.run(
        [CHECKOUT / "bench/run", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--only" in done.stdout


def test_figures_at_their_limits_are_kept() -> None:
    rows = limits.judged(KEPT)
    assert all(row.is_kept for row in rows)
    assert limits.markdown(rows).endswith("\nEvery limit is kept.\n")


@pytest.mark.parametrize("name", [limit.name for limit in LIMITS])
def test_one_figure_too_high_is_not_kept(name: str) -> None:
    rows = limits.judged(KEPT | {name: Measured(value=KEPT[name].value + 0.01)})
    assert [row.limit.name for row in rows if not row.is_kept] == [name]
    assert limits.markdown(rows).endswith(f"\nNot kept: {name}.\n")


def test_what_was_not_measured_is_not_kept() -> None:
    rows = limits.judged({name: figure for name, figure in KEPT.items() if name != "inspect"})
    assert [row.limit.name for row in rows if not row.is_kept] == ["inspect"]
    assert re.search(r"\| not measured \| 80 ms \| \*\*no\*\* \|", limits.markdown(rows))


def test_a_limit_set_too_low_on_purpose_is_not_kept() -> None:
    lower = limits.with_others(LIMITS, {"inspect": 79})
    assert [row.limit.name for row in limits.judged(KEPT, lower) if not row.is_kept] == ["inspect"]


def test_a_name_that_no_limit_has_is_refused() -> None:
    with pytest.raises(KeyError, match="inspekt"):
        limits.with_others(LIMITS, {"inspekt": 1})
    with pytest.raises(KeyError, match="inspekt"):
        limits.judged({"inspekt": Measured(value=1)})


def recorded(*, wakeups: int = 0, block_events: int = 0, rss: float = 22.0) -> vigil.Figures:
    return vigil.Figures(
        wakeups=wakeups,
        block_events=block_events,
        rss=rss,
        pss=20.0,
        back=(0.3, 0.4, 10.0),
        syncs=1,
        burst_cpu=0.1,
    )


@pytest.mark.parametrize(
    ("wakeups", "block_events", "beyond"),
    [
        pytest.param(2, 0, 0.0, id="pings-alone"),
        pytest.param(4, 0, 2 / 3, id="two-more-in-three-minutes"),
        pytest.param(4, 1, 0.0, id="an-event-of-a-block-device"),
        pytest.param(5, 1, 1 / 3, id="an-event-and-one-more"),
    ],
)
def test_a_ping_of_the_watchdog_is_no_wakeup_beyond_it(
    wakeups: int, block_events: int, beyond: float
) -> None:
    figures = vigil.figures(recorded(wakeups=wakeups, block_events=block_events), 180)
    assert figures["service-wakeups"].value == pytest.approx(beyond)


def test_no_repair_is_held_back() -> None:
    assert Pace().crowd >= vigil.REPAIRS + 1


def test_a_ping_comes_twice_in_the_units_watchdog_time() -> None:
    assert (
        f"\nWatchdogSec={2 * vigil.PING_SECONDS // 60}min\n"
        in (CHECKOUT / "systemd/xen-guest-bootloader.service").read_text()
    )


def test_the_services_figures_have_limits() -> None:
    figures = vigil.figures(recorded(rss=23.9), 180)
    assert figures.keys() == {limit.name for limit in LIMITS if limit.name.startswith("service-")}
    assert figures["service-memory"].value == pytest.approx(25.06, abs=0.01)
    assert figures["service-repair"].value == 0.4


def test_commands_get_an_environment_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    figures = in_turns(
        {"own": Command(words=["/bin/sh", "-c", '[ -z "$PYTHONDONTWRITEBYTECODE" ]'])}, runs=1
    )
    assert figures["own"].milliseconds > 0


@pytest.mark.parametrize(
    ("milliseconds", "slope", "is_kept"),
    [
        pytest.param((50, 60, 160), 0.43, True, id="less-than-linear"),
        pytest.param((50, 100, 1000), 1.0, True, id="linear"),
        pytest.param((50, 100, 10_000), 2.0, False, id="square"),
    ],
)
def test_what_grows_faster_than_what_there_is_is_not_kept(
    milliseconds: tuple[float, ...], slope: float, is_kept: bool
) -> None:
    grown = growth.Series(
        thing="kernels", command="`status`", counts=(1, 10, 100), milliseconds=milliseconds
    )
    flat = growth.Series(
        thing="disks", command="`status`", counts=(1, 10, 100), milliseconds=(50, 50, 50)
    )
    found = growth.figures((flat, grown))
    assert found["growth"].value == pytest.approx(slope, abs=0.01)
    assert found["growth"].detail == "`status`, kernels"
    rows = limits.judged(found, [limit for limit in LIMITS if limit.name in found])
    assert [row.is_kept for row in rows] == [is_kept]
    assert f"| {slope:.2f} |" in growth.table((flat, grown))
