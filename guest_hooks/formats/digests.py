# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash by which verdicts and receipts know a file. Pure."""

import hashlib
from functools import lru_cache

RECENT = 8
"""Second stages of one run: what was found, what was built, what was put in place."""
LEAST, MOST = 64 << 10, 4 << 20
"""Bytes; a run asks a dozen times for the hash of the same second stage. Of less it is made faster
than it is found, and more is a kernel, which is not kept in memory for that.
"""


def sha256(data: bytes) -> str:
    """The hash of `data` in hexadecimal digits."""
    return _kept(data) if LEAST <= len(data) <= MOST else _made(data)


def _made(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_kept = lru_cache(maxsize=RECENT)(_made)
