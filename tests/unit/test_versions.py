# SPDX-License-Identifier: GPL-3.0-or-later
"""One version everywhere, the one of the changelog's first entry."""

import re

import pytest

import guest_hooks
from tests.support.checkout import CHECKOUT

VERSION = re.match(r"xen-guest-bootloader \((\S+)\) ", (CHECKOUT / "debian/changelog").read_text())


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("NEWS", r"\A(\S+)\n"),
        ("man/xen-guest-bootloader.8", r'^\.TH .*"xen-guest-bootloader (\S+)"'),
        ("man/xen-guest-bootloader.toml.5", r'^\.TH .*"xen-guest-bootloader (\S+)"'),
        ("debian/ITP", r"^  Version +: (\S+)$"),
    ],
)
def test_a_file_that_names_it(path: str, place: str) -> None:
    found = re.search(place, (CHECKOUT / path).read_text(), re.MULTILINE)
    assert found
    assert VERSION
    assert found[1] == VERSION[1] == guest_hooks.__version__
