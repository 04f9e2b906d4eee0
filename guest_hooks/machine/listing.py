# SPDX-License-Identifier: GPL-3.0-or-later
"""The names in a directory, of which there may be a million."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NAMES = 32_768
"""In one directory; GRUB 2.14 has about 300 modules, and a disk with a thousand kernels four
thousand files in /boot.
"""


def listed(directory: "int | str", path: str) -> "Iterator[os.DirEntry[str]]":
    """What stands in a directory, in no order; `path` is what messages call it.

    Raises `OSError` with EOVERFLOW beyond `MOST_NAMES`: they would cost time and memory, and to go
    on with some of them would be wrong.
    """
    with os.scandir(directory) as found:
        for number, entry in enumerate(found):
            if number == MOST_NAMES:
                import errno  # noqa: PLC0415 - a sync with nothing to do has no use for it

                raise OSError(errno.EOVERFLOW, f"it holds more than {MOST_NAMES} names", path)
            yield entry
