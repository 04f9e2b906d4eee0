# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the files that a run has replaced GRUB may still read as they were, and when that ends.

GRUB reads the disk without its journal. On XFS it takes up to half a minute until it sees a change,
so the changes of one run wait for it together: what one step waits for before it gives files their
names ends the wait of all steps before it.
"""

import os
from collections.abc import Callable, Iterable

from guest_hooks.machine.barrier import barrier, is_late, open_directory, settle
from guest_hooks.machine.root import Root
from guest_hooks.model import Problem
from guest_hooks.records import dataclass, field

Release = Callable[[], object]


@dataclass(slots=True)
class Settling:
    """The changes of one run that GRUB may not see yet.

    `problems` is what could not be made sure of. A run that is killed leaves what it would have
    released; `durable.sweep` removes it.
    """

    root: Root
    problems: tuple[Problem, ...] = ()
    _pending: dict[int, tuple[str, list[Release]]] = field(default_factory=dict)
    _settled: set[int] = field(default_factory=set)

    def before_names(self, where: str) -> None:
        """Bring to the disk what was written below the directory `where`, so that a name can point
        to it; raises `NotRepairedError` where that takes too long.
        """
        problem = settle(self.root, where)
        self._note(problem)
        self._release(self._device(where))

    def after_names(self, where: str, release: Iterable[Release]) -> None:
        """Names below `where` have changed; call `release` once GRUB sees it."""
        _, waiting = self._pending.setdefault(self._device(where), (where, []))
        waiting += release

    def finish(self) -> None:
        """Wait until GRUB sees all changes, and release what stood in for them."""
        for device, (where, _) in list(self._pending.items()):
            problem = barrier(self.root, where)
            self._note(problem)
            if is_late(problem):
                del self._pending[device]
            else:
                self._release(device)
            if problem is None:
                self._settled.add(device)

    def is_settled(self, where: str) -> bool:
        """Whether at the end GRUB surely saw the file system of the directory `where` as it was."""
        return self._device(where) in self._settled

    def _release(self, device: int) -> None:
        _, waiting = self._pending.pop(device, ("", []))
        for release in waiting:
            release()

    def _note(self, problem: Problem | None) -> None:
        if problem is not None and problem not in self.problems:
            self.problems += (problem,)

    def _device(self, where: str) -> int:
        with open_directory(self.root, where) as directory:
            return os.fstat(directory).st_dev
