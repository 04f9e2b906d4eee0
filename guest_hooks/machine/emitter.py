# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of one directory: that something changed in it, and whether a file there is
being written.

Each directory has an emitter thread and an inotify instance of its own. watchdog's own emitter
holds an unpaired rename back for half a second, asks for more events than are wanted (6.0 reports
our own reads) and can't be stopped where its watch was lost; so ours reads watchdog's `Inotify`
itself, asks the kernel for the events that matter, and waits without a timeout.
"""

import os
import select
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress

from watchdog.events import DirModifiedEvent
from watchdog.observers.api import EventEmitter, EventQueue, ObservedWatch
from watchdog.observers.inotify_c import Inotify, InotifyConstants, InotifyEvent

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
        self.written: set[bytes] = set()
        """The files that somebody is writing, by their names."""
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

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002 - watchdog's
        """Wait for events, as long as it takes: there is no timeout here."""
        ready = {fd for fd, _ in self._ready.poll()}
        if self._inotify.fd not in ready or not self.should_keep_running():
            return
        events = self._inotify.read_events()
        self._inotify.clear_move_records()  # which grow without end otherwise
        self._count(len(events))
        self._follow_writers(events)
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

    def _follow_writers(self, events: Iterable[InotifyEvent]) -> None:
        """What was made or changed is being written until it is closed, or its name is gone; a
        link, which nobody closes, until then.
        """
        for event in events:
            if event.is_directory or (self._names and os.fsdecode(event.name) not in self._names):
                continue
            if event.is_create or event.is_modify:
                self.written.add(event.name)
            elif not event.is_attrib:
                self.written.discard(event.name)

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
