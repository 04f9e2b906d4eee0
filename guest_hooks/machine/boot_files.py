# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and initrds as facts, remembered from run to run: reading them takes a second or two."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from guest_hooks.boot_images import InitrdFacts, KernelFacts, SameFacts
from guest_hooks.errors import GuestHooksError
from guest_hooks.machine.image_reading import Facts, read_initrd, read_kernel, revived
from guest_hooks.machine.root import Root
from guest_hooks.paths import STATE_DIR
from guest_hooks.records import asdict

CACHE = f"{STATE_DIR}/preflight.json"
VERSION = 4
"""Goes up with whatever changes what the facts mean."""
MAX_CACHE = 8 << 20
MAX_REMEMBERED = 64

AnyFacts = KernelFacts | InitrdFacts | SameFacts
_KINDS = {KernelFacts: "kernel", InitrdFacts: "initrd", SameFacts: "same"}
"""The names of the facts in the file where they are remembered."""


class Memory:
    """The facts of files seen before, by path and by what changes when a file does; `save`
    writes them where that is possible.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known = _load(root)
        self._used: dict[str, tuple[list[int], AnyFacts]] = {}
        self._seen: dict[tuple[object, ...], AnyFacts] = {}
        self._has_news = False

    def kernel(self, path: str) -> KernelFacts | None:
        """The facts of the kernel at `path`, None where no file is there."""
        return self._facts(KernelFacts, path, read_kernel)

    def initrd(self, path: str) -> InitrdFacts | None:
        """The facts of the initrd at `path`, None where no file is there."""
        return self._facts(InitrdFacts, path, read_initrd)

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
        if not self._has_news or os.geteuid() != 0:
            return
        others = {path: entry for path, entry in self._known.items() if path not in self._used}
        used = {
            path: {"kind": _KINDS[type(facts)], "signature": signature, "facts": asdict(facts)}
            for path, (signature, facts) in self._used.items()
        }
        files = dict(list((others | used).items())[-MAX_REMEMBERED:])
        data = json.dumps({"version": VERSION, "files": files}, separators=(",", ":")).encode()
        with suppress(OSError, GuestHooksError):
            self._root.make_dirs(os.path.dirname(CACHE))
            with self._root.parent(CACHE) as (directory, name):
                # In place: a cut-off cache is thrown away by whoever reads it next.
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "wb") as file:
                    file.write(data)

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
            return revived(kind, entry.get("facts"))
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


def _load(root: Root) -> Mapping[str, Any]:
    try:
        table = json.loads(root.content(CACHE, limit=MAX_CACHE) or b"")
    except (ValueError, RecursionError):
        return {}
    if (
        not isinstance(table, dict)
        or table.get("version") != VERSION
        or not isinstance(table.get("files"), dict)
    ):
        return {}
    return {path: entry for path, entry in table["files"].items() if isinstance(entry, dict)}
