# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash of a file, whether it is kept or not."""

import hashlib

import pytest

from guest_hooks.formats import digests


@pytest.mark.parametrize(
    "size", [0, 1, digests.LEAST - 1, digests.LEAST, digests.MOST, digests.MOST + 1]
)
def test_it_is_that_of_the_bytes(size: int) -> None:
    for data in (bytes(size), b"\1" * size, bytearray(size)):
        assert digests.sha256(bytes(data)) == hashlib.sha256(data).hexdigest()
