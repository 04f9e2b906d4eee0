# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people read them, in KiB and MiB, and the most that is read of one file."""

import math

KIB = 1024
MAX_READ = 64 * KIB * KIB
"""Bytes; larger than any second stage, kernel or configuration this software reads whole."""

MAX_IMAGE = 1 << 30
"""Bytes; larger than any kernel or initial RAM disk."""


def size(count: int) -> str:
    """`count` bytes: `2.8 MiB`."""
    if count < KIB:
        return f"{count} B"
    exponent = min(int(math.log(count, KIB)), 4)
    value = count / KIB**exponent
    return (
        f"{value:.1f} {'KMGT'[exponent - 1]}iB"
        if value < 100
        else f"{value:.0f} {'KMGT'[exponent - 1]}iB"
    )
