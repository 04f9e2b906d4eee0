# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and initrds as facts, remembered from run to run: reading them takes a second or two."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from guest_hooks.boot_images import Facts, InitrdFacts, KernelFacts, SameFacts
from guest_hooks.machine import cache_file, elf_readings, stored
from guest_hooks.machine.grub_answers import Answers
from guest_hooks.machine.root import Root
from guest_hooks.paths import STATE_DIR
from guest_hooks.records import asdict

CACHE = f"{STATE_DIR}/preflight.json"
VERSION = 4
"""Goes up with whatever changes what the facts mean."""
MAX_CACHE = 8 << 20
MAX_REMEMBERED = 512
"""Files: kernels and initrds, of which a test host may have a hundred; an entry has 1 to 10 KB."""

AnyFacts = KernelFacts | InitrdFacts | SameFacts
_KINDS = {KernelFacts: "kernel", InitrdFacts: "initrd", SameFacts: "same"}
"""The names of the facts in the file where they are remembered."""


class Memory:
    """The facts of files seen before, by path and by what changes when a file does, what GRUB's
    tools have answered, and the ELF headers that were read; `save` writes them where that is
    possible.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self.answers = Answers(root)
        elf_readings.recall(root)
        self._used: dict[str, tuple[list[int], AnyFacts]] = {}
        self._seen: dict[tuple[object, ...], AnyFacts] = {}
        self._has_news = False

    @cached_property
    def _known(self) -> Mapping[str, Any]:
        return _load(self._root)

    def kernel(self, path: str) -> KernelFacts | None:
        """The facts of the kernel at `path`, None where no file is there."""
        return self._facts(KernelFacts, path, _read_kernel)

    def initrd(self, path: str) -> InitrdFacts | None:
        """The facts of the initrd at `path`, None where no file is there."""
        return self._facts(InitrdFacts, path, _read_initrd)

    def is_read_by_grub(
        self, path: str, where: str, compare: Callable[[], bool | None]
    ) -> bool | None:
        """Whether GRUB reads at `where` (devices, and a path on them) the bytes of `path`: by what
        an earlier run saw of the same file, or by `compare`. None where that can't be told.
        """
        status = self._root.stat(path)
        if status is None:
            return compare()
        key, signature = f"{path} {where}", _signature(status)
        known = self._recall(key, SameFacts, signature)
        is_same = known is not None or compare()
        if is_same:
            self._keep(key, signature, known or SameFacts(), is_new=known is None)
        return is_same

    def knows(self, paths: Iterable[str]) -> bool:
        """Whether none of these files is to be read."""
        for path in paths:
            status = self._root.stat(path)
            if status and self._known.get(path, {}).get("signature") != _signature(status):
                return False
        return True

    def save(self) -> None:
        """Write what was learnt; no right to, or no room, is no fault: the next run reads the
        files again.
        """
        self.answers.save()
        elf_readings.remember(self._root)
        if not self._has_news or os.geteuid() != 0:
            return
        others = {
            key: entry
            for key, entry in self._known.items()
            if key not in self._used and self._is_of_use(key, entry)
        }
        used = {
            path: {"kind": _KINDS[type(facts)], "signature": signature, "facts": asdict(facts)}
            for path, (signature, facts) in self._used.items()
        }
        files = dict(list((others | used).items())[-MAX_REMEMBERED:])
        cache_file.save(self._root, CACHE, version=VERSION, key="files", table=files)

    def _is_of_use(self, key: str, entry: Mapping[str, Any]) -> bool:
        """Whether the file of an entry is still there."""
        is_with_place = entry.get("kind") == _KINDS[SameFacts]
        return self._root.exists(key.partition(" ")[0] if is_with_place else key)

    def _facts(
        self, kind: type[Facts], path: str, read: Callable[[Root, str], Facts]
    ) -> Facts | None:
        status = self._root.stat(path)
        if status is None:
            return None
        signature: list[int] = _signature(status)
        # A file of a thousand names is read once.
        file = (kind, status.st_dev, *signature)
        known = self._seen.get(file) or self._recall(path, kind, signature)
        facts = known if isinstance(known, kind) else read(self._root, path)
        self._seen[file] = facts
        self._keep(path, signature, facts, is_new=known is None)
        return facts

    def _recall(self, path: str, kind: type[Facts], signature: list[int]) -> Facts | None:
        entry = self._known.get(path)
        if (
            isinstance(entry, dict)
            and entry.get("kind") == _KINDS[kind]
            and entry.get("signature") == signature
        ):
            return stored.record(kind, entry.get("facts"))
        return None

    def _keep(
        self,
        path: str,
        signature: list[int],
        facts: AnyFacts,
        *,
        is_new: bool,
    ) -> None:
        if facts.unread:  # what could not be looked into may be after the next `apt install`
            return
        self._used[path] = (signature, facts)
        self._has_news = self._has_news or is_new


def _signature(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read_kernel(root: Root, path: str) -> KernelFacts:
    # With the decompressors, which a run that knows all its files does without.
    from guest_hooks.machine import image_reading  # noqa: PLC0415

    return image_reading.read_kernel(root, path)


def _read_initrd(root: Root, path: str) -> InitrdFacts:
    from guest_hooks.machine import image_reading  # noqa: PLC0415 - as above

    return image_reading.read_initrd(root, path)


def _load(root: Root) -> Mapping[str, Any]:
    table = cache_file.load(root, CACHE, version=VERSION, key="files", limit=MAX_CACHE)
    return {path: entry for path, entry in table.items() if isinstance(entry, dict)}
