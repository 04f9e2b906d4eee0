# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories under watch, by watchdog: that something changed in one of them, never what.

Each directory has an emitter thread and an inotify instance of its own. watchdog's own emitter
holds an unpaired rename back for half a second, asks for more events than are wanted (6.0 reports
our own reads) and can't be stopped where its watch was lost; so ours reads watchdog's `Inotify`
itself, asks the kernel for the events that matter, and waits without a timeout.
"""

import functools
import os
import select
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from watchdog.events import DirModifiedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch
from watchdog.observers.inotify_c import Inotify, InotifyConstants

from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass

# What a change of content, name, owner or mode raises. No IN_ACCESS, IN_OPEN, IN_CLOSE_NOWRITE:
# those are readers, us among them.
MASK = (
    InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)

QUEUE_LIMIT = "/proc/sys/fs/inotify/max_queued_events"

Names = frozenset[str]
ALL_NAMES: Names = frozenset()
"""No name is left out."""


class _Inotify(Inotify):  # type: ignore[misc]
    """watchdog's, without the descriptors that it loses when a watch is refused, or ends before
    its first event.
    """

    def __init__(self, path: bytes) -> None:
        try:
            super().__init__(path, recursive=False, event_mask=MASK)
        except OSError:
            with suppress(AttributeError):  # there was not even an instance
                self.release()
            raise

    def release(self) -> None:
        """Close it, where nobody reads from it any more: the `close` of 6.0 leaves that to a
        reader.
        """
        close = getattr(self, "_close_resources", None) or self.close
        close()


class Emitter(EventEmitter):  # type: ignore[misc]
    """Reports each batch of events in one directory as one event; ends when the directory is
    deleted, moved or unmounted.
    """

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        names: Mapping[str, Names],
        **options: object,
    ) -> None:
        super().__init__(event_queue, watch, **options)
        self._names = names.get(watch.path, ALL_NAMES)
        self._lock = threading.Lock()
        self._wake = -1
        self._unread = 0
        self.overflows = 0
        """How often so many events came at once that the kernel may have dropped some."""

    def on_thread_start(self) -> None:
        """Set the watch; raises `OSError` where the kernel refuses it."""
        self._inotify = _Inotify(os.fsencode(self.watch.path))
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ready = select.poll()
        self._ready.register(self._inotify.fd, select.POLLIN)
        self._ready.register(self._wake, select.POLLIN)
        with open(QUEUE_LIMIT, encoding="ascii") as file:
            self._limit = int(file.read())

    def on_thread_stop(self) -> None:
        """Wake the thread, which then closes what it has opened."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Read until stopped; whatever ends the thread, its descriptors are closed and the
        directory is looked at once more.
        """
        try:
            super().run()
        finally:
            with self._lock:
                os.close(self._wake)
                self._wake = -1
            self._inotify.release()
            self._report()

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002 - watchdog's signature; there is no timeout here
        """Wait for events, as long as it takes."""
        ready = {fd for fd, _ in self._ready.poll()}
        if self._inotify.fd not in ready or not self.should_keep_running():
            return
        events = self._inotify.read_events()
        self._inotify.clear_move_records()  # which grow without end otherwise
        self._count(len(events))
        is_gone = any(
            event.is_ignored or event.is_delete_self or event.is_move_self for event in events
        )
        if is_gone:
            self.stop()
        elif (
            not events
            or not self._names
            or any(os.fsdecode(event.name) in self._names for event in events)
        ):
            self._report()

    def _report(self) -> None:
        self.queue_event(DirModifiedEvent(self.watch.path))

    def _count(self, events: int) -> None:
        """Watchdog passes the kernel's overflow event over; that can't have come while fewer
        events were queued than fit.
        """
        self._unread += max(events, 1)
        if self._unread >= self._limit:
            self.overflows += 1
            self._unread = 0
        elif not self._ready.poll(0):
            self._unread = 0


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
