# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting back a file that is gone while all else is as the fingerprint says, by its spare: what
was judged before is what stands there again, so nothing has to be judged.
"""

import os
from collections.abc import Mapping
from contextlib import suppress

from guest_hooks.errors import GuestHooksError, NotRepairedError
from guest_hooks.machine import durable, fingerprint
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Problem
from guest_hooks.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """The paths that were put back, and what could not be made sure of."""

    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def put_back(root: Root, path: str) -> PutBack:
    """Put back what is lost by the fingerprint at `path`, and remember it where that can be done;
    the caller holds the lock. Nothing is put back where a survey has to look.

    Raises as `durable.replace_all`, `NotRepairedError` where a file was replaced at once by
    something else, and `OSError` where a spare can't be read.
    """
    files = _spared(root, path)
    if not files:
        return PutBack()
    for directory in {os.path.dirname(each) for each in files}:
        with suppress(GuestHooksError):  # what a killed run left takes room, and no more
            durable.sweep(root, directory)
    settling = Settling(root)
    durable.replace_all(root, files, settling=settling)
    settling.finish()
    text = fingerprint.again(path, files)
    if odd := [each for each, data in files.items() if root.content(each) != data]:
        raise NotRepairedError(f"{odd[0]} was replaced by something else", hint="run it again")
    with suppress(GuestHooksError):  # the next run takes longer, and no more
        durable.replace(root, path, text.encode(), sync=False)  # without one, a survey looks
    return PutBack(files=tuple(files), problems=settling.problems)


def _spared(root: Root, path: str) -> Mapping[str, bytes]:
    """The bytes of each lost file; nothing where one of the spares has decayed."""
    lost = fingerprint.lost(path)
    files = {each: root.read(spare) for each, (spare, _) in lost.items()}
    is_whole = all(fingerprint.checksum(files[each]) == known for each, (_, known) in lost.items())
    return files if is_whole else {}
