# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a menu as pygrub finds them."""

from collections.abc import Sequence

from guest_hooks.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One entry: paths on the file system that holds the menu, whatever device they name;
    `kernel` is empty where it has none.
    """

    title: str
    kernel: str = ""
    arguments: str = ""
    initrd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PygrubMenu:
    """All entries in order, the number of the one that starts unattended, and after how many
    seconds (negative: never).
    """

    images: tuple[Image, ...]
    default: int
    timeout: int = -1

    @property
    def chosen(self) -> Image | None:
        """The entry that starts; the first one where the default is beyond the last."""
        if not self.images:
            return None
        return self.images[self.default] if self.default < len(self.images) else self.images[0]


Lines = Sequence[tuple[int, str]]
