# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus made by grub-mkconfig of bookworm (2.06) and trixie (2.12) for three kernels, with
GRUB_DEFAULT=0 (`simple`) and =saved.
"""

from tests.support.checkout import CHECKOUT

PATHS = tuple(sorted((CHECKOUT / "tests/data/grub_cfg").glob("*.cfg")))


def text(name: str) -> str:
    """The menu of this name, such as `bookworm-simple`."""
    (path,) = (each for each in PATHS if each.stem == name)
    return path.read_text()
