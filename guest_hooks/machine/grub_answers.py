# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB's tools have answered on the running system, word for word, for as long as all that
they looked at is as it was.

Each of them takes longer to start than the question takes to be answered. So an answer is kept with
its basis (`grub_basis`), and where that is another one now, or can't be told, the tool is asked.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from guest_hooks import __version__
from guest_hooks.machine import cache_file
from guest_hooks.machine.root import Root
from guest_hooks.paths import STATE_DIR

ANSWERS = f"{STATE_DIR}/grub-answers.json"
VERSION = 1
MAX_SIZE = 1 << 20
MOST_ANSWERS = 64

Basis = Sequence[str]
"""Lines; None in its place: what the answer rests on can't be told."""


class Answers:
    """The answers of earlier runs; `save` writes them where that is possible. Of a tree, and of a
    user who may not read them, there are none.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._is_used = root.is_live and os.geteuid() == 0
        self._given: dict[str, list[str]] = {}

    @cached_property
    def _known(self) -> dict[str, Any]:
        if not self._is_used:
            return {}
        return cache_file.load(self._root, ANSWERS, version=VERSION, key="answers", limit=MAX_SIZE)

    @property
    def are_kept(self) -> bool:
        """Whether it is worth telling what an answer rests on."""
        return self._is_used

    def get(self, question: str, basis: Basis | None) -> str | None:
        """The answer to `question` that rests on `basis`; None where it is to be asked."""
        known = self._given.get(question, self._known.get(question))
        if basis is None or not isinstance(known, list) or len(known) != 2:
            return None
        rests_on, answer = known
        return answer if rests_on == _digest(basis) and isinstance(answer, str) else None

    def put(self, question: str, basis: Basis | None, answer: str) -> None:
        """Keep the answer that was given now."""
        if self._is_used and basis is not None:
            self._given[question] = [_digest(basis), answer]

    def save(self) -> None:
        """Write what was answered since; nothing where nothing was."""
        if self._given:
            others = {key: row for key, row in self._known.items() if key not in self._given}
            table = dict(list((others | self._given).items())[-MOST_ANSWERS:])
            cache_file.save(self._root, ANSWERS, version=VERSION, key="answers", table=table)


def _digest(basis: Basis) -> str:
    return hashlib.sha256("\n".join((__version__, *basis)).encode(errors="replace")).hexdigest()
