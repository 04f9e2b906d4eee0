# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab and the guests that the tests on real Xen share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import xen_dom0, xen_guest
from tests.support.debian_tree import Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import XenGuest


@pytest.fixture(scope="session")
def dom0() -> Dom0:
    """Xen and dom0 of bookworm, with Debian's unmodified stage-1 images."""
    return xen_dom0.prepare()


@pytest.fixture(scope="module")
def bookworm(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenGuest]:
    """A guest of bookworm on one whole disk, with second stages for PV and PVH."""
    with xen_guest.made(tmp_path_factory.mktemp("bookworm"), Suite.BOOKWORM, deb) as guest:
        yield guest
