# SPDX-License-Identifier: GPL-3.0-or-later
"""How much work it may take to follow a grub.cfg: in proportion to its size, whatever it says."""

from guest_hooks.errors import FormatError

FEW_TOKENS, CHARACTERS_OF_A_TOKEN = 4_000, 4
"""How many words and separators a file may have: so many, and one for so many of its
characters. In Debian's menus it is 9.
"""
FEW_STEPS, CHARACTERS_OF_A_STEP = 3_000, 12
"""How many steps it may take: so many, and one for so many of its characters. In Debian's menus
it is 36 to 42.
"""
CHARACTERS_A_STEP = 32
ITEMS_A_STEP = 32


def most_tokens(text: str) -> int:
    """How many words and separators `text` may have."""
    return FEW_TOKENS + len(text) // CHARACTERS_OF_A_TOKEN


class Budget:
    """The steps that are left for a file of `size` characters and for all that it reads: what
    is made, parsed or copied counts.
    """

    def __init__(self, size: int) -> None:
        self.left = FEW_STEPS + size // CHARACTERS_OF_A_STEP

    def spend(self, *, characters: int = 0, items: int = 0) -> None:
        """Take one step and what these cost; raises `FormatError` where too little is left."""
        self.left -= 1 + characters // CHARACTERS_A_STEP + items // ITEMS_A_STEP
        if self.left < 0:
            raise FormatError("grub-cfg-too-long", "grub.cfg takes more steps than can be followed")
