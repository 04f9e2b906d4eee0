# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories under watch, by watchdog: that something changed in one of them, never what."""

import functools
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch

from guest_hooks.machine.emitter import ALL_NAMES, Emitter, Names
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass


class _Handler(FileSystemEventHandler):  # type: ignore[misc]
    def __init__(self, notice: Callable[[], None]) -> None:
        self._notice = notice

    def dispatch(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - what happened is not asked
        self._notice()


@dataclass(frozen=True, slots=True)
class _Armed:
    watch: ObservedWatch
    emitter: Emitter
    identity: tuple[int, int]
    names: Names


class Watch:
    """Keeps directories under watch and calls `notice`, from another thread, when something
    changed in one.

    A directory that does not exist is watched for from the nearest one above it. `arm` sets what is
    not set, and is to be called after each notice: what was deleted and made again is another
    directory. Then look: a change before `arm` raises no event.
    """

    def __init__(self, root: Root, directories: Iterable[str], notice: Callable[[], None]) -> None:
        self._root = root
        self._directories = tuple(directories)
        self._handler = _Handler(notice)
        self._names: dict[str, Names] = {}
        self._armed: dict[str, _Armed] = {}
        self._overflows = 0
        self._deaths = 0
        self._refused: dict[str, str] = {}
        self._observer = self._new_observer()

    @property
    def troubles(self) -> tuple[str, ...]:
        """What cannot be watched, and why."""
        return tuple(
            f"{path} cannot be watched: {why}" for path, why in sorted(self._refused.items())
        )

    @property
    def is_alive(self) -> bool:
        """Whether every thread runs that should."""
        return self._observer.is_alive() and all(
            armed.emitter.is_alive() for armed in self._armed.values()
        )

    @property
    def is_written_to(self) -> bool:
        """Whether somebody is writing a file there, as far as the kernel has told."""
        return any(armed.emitter.written for armed in self._armed.values())

    @property
    def count(self) -> int:
        """How many directories are watched."""
        return len(self._armed)

    @property
    def overflows(self) -> int:
        """How often the kernel may have dropped events; each was a notice, so each led to a
        look.
        """
        return self._overflows + sum(armed.emitter.overflows for armed in self._armed.values())

    @property
    def deaths(self) -> int:
        """How often the thread that hands events on was found dead and was replaced."""
        return self._deaths

    def arm(self) -> bool:
        """Set every watch that is missing, was lost or lies on another directory now; whether
        there was any such.
        """
        if not self._observer.is_alive():
            self._deaths += 1
            self.close()
            self._observer = self._new_observer()
        wanted = self._wanted()
        lost = [path for path, armed in self._armed.items() if not self._holds(path, armed, wanted)]
        for path in lost:
            self._drop(path)
        self._names.clear()
        self._names.update(wanted)
        self._refused.clear()
        missing = [path for path in wanted if path not in self._armed]
        for path in missing:
            self._set(path)
        return bool(lost or missing)

    def close(self) -> None:
        """Take every watch back and end the threads."""
        for path in list(self._armed):
            self._drop(path)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _new_observer(self) -> BaseObserver:
        observer = BaseObserver(emitter_class=functools.partial(Emitter, names=self._names))
        observer.start()
        return observer

    def _wanted(self) -> dict[str, Names]:
        """The directories to watch, as the kernel names them; with each, the names that matter
        there.
        """
        wanted: dict[str, Names] = {}
        for directory in self._directories:
            names: Names = ALL_NAMES
            path = directory
            while True:
                with suppress(OSError):
                    found = os.path.realpath(self._root.outside(self._root.resolve(path)))
                    if os.path.isdir(found):
                        break
                path, name = os.path.split(path)
                names = frozenset([name])
            known = wanted.get(found)
            wanted[found] = (
                names if known is None else (known | names if known and names else ALL_NAMES)
            )
        return wanted

    def _holds(self, path: str, armed: _Armed, wanted: dict[str, Names]) -> bool:
        is_wanted = armed.names == wanted.get(path)
        return is_wanted and armed.emitter.is_alive() and _identity(path) == armed.identity

    def _drop(self, path: str) -> None:
        armed = self._armed.pop(path)
        self._overflows += armed.emitter.overflows
        with suppress(KeyError):  # a stopped observer has let go of it already
            self._observer.unschedule(armed.watch)

    def _set(self, path: str) -> None:
        identity = _identity(path)
        try:
            watch = self._observer.schedule(self._handler, path)
        except (OSError, RuntimeError) as error:  # RuntimeError: can't start new thread
            self._refused[path] = getattr(error, "strerror", None) or str(error)
            return
        emitter = next(emitter for emitter in self._observer.emitters if emitter.watch == watch)
        self._armed[path] = _Armed(watch, emitter, identity, self._names[path])


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
