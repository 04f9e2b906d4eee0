# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's tree as it would be with some of its files replaced; nothing is written."""

import os
import stat
from collections.abc import Mapping

from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.records import dataclass, field
from guest_hooks.sizes import MAX_READ, size


@dataclass(frozen=True, slots=True)
class Overlay(Root):
    """The tree at `path` with `over`, plain files by their paths, in the place of what stands
    there.

    A file is found by the path it was given under, not by another that leads to it.
    """

    SEES_AS_KERNEL = False

    over: Mapping[str, bytes] = field(default_factory=dict)

    def lstat(self, path: str) -> os.stat_result | None:
        """As `Root.lstat`; a file of `over` has a type, a size and no times."""
        data = self.over.get(path)
        return Root.lstat(self, path) if data is None else _status(data)

    def stat(self, path: str) -> os.stat_result | None:
        """As `Root.stat`."""
        data = self.over.get(path)
        return Root.stat(self, path) if data is None else _status(data)

    def read(self, path: str, *, limit: int = MAX_READ) -> bytes:
        """As `Root.read`."""
        data = self.over.get(path)
        if data is None:
            return Root.read(self, path, limit=limit)
        if len(data) > limit:
            raise NotRegularError(
                f"{path} has {size(len(data))}, more than the {size(limit)} that can be right"
            )
        return data


def _status(data: bytes) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, len(data), 0, 0, 0))
