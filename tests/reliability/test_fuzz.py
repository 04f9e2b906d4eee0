# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser fuzzed for a moment, each time alike; `make reliability` takes ten minutes for
each, each time otherwise.
"""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability import fuzz
from tests.reliability.fuzz_targets import TARGETS


@pytest.mark.parametrize("parser", TARGETS)
def test_guided_by_coverage_nothing_is_found(tmp_path: Path, parser: str) -> None:
    assert [
        fault for fault in fuzz.guided(parser, tmp_path, runs=TARGETS[parser].runs, seed=1) if fault
    ] == []


@pytest.mark.parametrize("parser", TARGETS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_real_input_is_refused_in_bounds(parser: str, data: st.DataObject) -> None:
    row = TARGETS[parser]
    seed = data.draw(st.sampled_from(row.seeds()))
    at = data.draw(st.integers(0, len(seed)))
    patch = data.draw(st.binary(max_size=64))
    cut = data.draw(st.integers(0, len(seed)))
    damaged = (seed[:at] + patch + seed[at + len(patch) :])[: cut or None]
    tracemalloc.start()
    fuzz.bounded(row.attempt, damaged)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 1024 * 1024 + 40 * len(damaged)
