# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the mounts that given paths lie on. The kernel says when the table changed
(proc_pid_mountinfo(5), poll).
"""

import os
import select
from collections.abc import Iterable

from guest_hooks.machine import mounts
from guest_hooks.machine.root import Root


class MountChanges:
    """Tells when another file system, or the same one with other rights, is mounted at or above
    one of the paths.

    `fileno` becomes ready for `EVENTS`, for any mount on the machine; `changed` then tells whether
    it concerns the paths.
    """

    EVENTS = select.POLLPRI

    def __init__(self, root: Root, paths: Iterable[str]) -> None:
        self._root = root
        self._paths = tuple(paths)
        # It stays open: that is how the kernel tells.
        self._file = open(mounts.MOUNTINFO, "rb")  # noqa: SIM115
        self._last = self._covering()

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._file.fileno()

    def changed(self) -> bool:
        """Whether the mounts behind the paths differ from those of the last call."""
        last, self._last = self._last, self._covering()
        return self._last != last

    def mount_of(self, path: str) -> mounts.Mount | None:
        """The mount that `path` lay on when last asked."""
        return dict(zip(self._paths, self._last, strict=True)).get(path)

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()

    def _covering(self) -> tuple[mounts.Mount | None, ...]:
        table = mounts.here()
        return tuple(
            mounts.covering(table, os.path.realpath(self._root.outside(path)))
            for path in self._paths
        )
