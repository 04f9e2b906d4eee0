# SPDX-License-Identifier: GPL-3.0-or-later
"""No file costs much more than a real one of its kind and size, however it was made."""

import json
import subprocess
from typing import Any

from tests.support import hostile_files
from tests.support.checkout import CHECKOUT

TIMES = 3
FEW_SECONDS, FEW_KILOBYTES = 0.05, 8192
"""What does not count: a start of Python takes as much."""


def costs() -> list[dict[str, Any]]:
    command = ["/usr/bin/python3", "-m", "tests.support.hostile_files"]
    done = subprocess.run(
        command, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=600
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_file_costs_three_times_a_real_one_of_its_size() -> None:
    rows = costs()
    assert [row["name"] for row in rows] == [each.name for each in hostile_files.everything()]
    dear = [
        row
        for row in rows
        if row["seconds"] > TIMES * row["real_seconds"] + FEW_SECONDS
        or row["kilobytes"] > TIMES * row["real_kilobytes"] + FEW_KILOBYTES
    ]
    assert dear == []
