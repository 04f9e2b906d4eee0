# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service: what goes missing or stale comes back by itself.

This process only notices. It waits on one poll(2) without a timeout of its own but the watchdog's
ping and what `pacing` asks for; looks, cheaply; and has the repair done by the oneshot unit, which
has the rights that this one lacks.
"""

import math
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable

from guest_hooks.config import Config
from guest_hooks.daemon import events, news, pacing
from guest_hooks.daemon.glance import Glance
from guest_hooks.daemon.subjects import DIRECTORIES, MOUNTED
from guest_hooks.errors import ExitCode, GuestHooksError, LackingError, UnmountedError
from guest_hooks.machine import hold, holders, manager, offspring, service
from guest_hooks.machine.block_device_changes import BlockDevices
from guest_hooks.machine.config_files import configuration
from guest_hooks.machine.mount_changes import MountChanges
from guest_hooks.machine.root import Root
from guest_hooks.machine.signals import Signals
from guest_hooks.machine.watch import Watch
from guest_hooks.paths import BOOT, LOCK
from guest_hooks.program import REPAIR
from guest_hooks.records import replace
from guest_hooks.repairs import ServiceStatus, utc

REARM_SECONDS = 60.0
"""How often watches that were refused, or a udev that does not run, are tried again."""

Fix = Callable[[], manager.Repaired]


def watch(file: str | None = None) -> ExitCode:
    """Watch the running system and repair it until SIGTERM or SIGINT; SIGHUP reads the
    configuration (or `file`) again.

    Raises `LackingError` where this is not root, `LockedError` where another watcher runs,
    `UsageError` for a configuration that is wrong at the start.
    """
    if os.geteuid() != 0:
        raise LackingError(
            "watch must be run as root", hint="sudo systemctl start xen-guest-bootloader"
        )
    root = Root()
    overseer = manager.Manager()
    fix: Fix = (
        manager.repair_by_unit if overseer.is_there else lambda: manager.repair_by_command(REPAIR)
    )
    watcher = Watcher(
        root,
        configure=lambda: configuration(root, file),
        glance=Glance(),
        fix=fix,
        overseer=overseer,
    )
    try:
        watcher.run()
    finally:
        watcher.close()
    return ExitCode.OK


class Watcher:
    """The loop: what `pacing` decides is carried out, and what happens is handed to it."""

    def __init__(
        self,
        root: Root,
        *,
        configure: Callable[[], Config],
        glance: Glance,
        fix: Fix,
        overseer: manager.Manager,
    ) -> None:
        self._root = root
        self._configure = configure
        self._glance = glance
        self._fix = fix
        self._overseer = overseer
        self._config = configure()
        self._pace = pacing.of(self._config)
        self._state = service.StateFile(root)
        self._told = ServiceStatus(running=True, pid=os.getpid(), since=utc(time.time()))
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ended: queue.SimpleQueue[manager.Repaired] = queue.SimpleQueue()
        self._repair: threading.Thread | None = None
        self._is_stopping = False
        self._signals = Signals()
        self._watch = Watch(root, DIRECTORIES, self._notice)
        self._mounts = MountChanges(root, MOUNTED)
        self._is_boxed = self._is_boot_read_only()
        self._devices: BlockDevices | None = None
        self._troubles: tuple[str, ...] = ()
        self._seen_losses = 0
        self._vigil = pacing.begin(time.monotonic(), self._pace)
        self._ping_due = self._rearm_due = math.inf
        self._sources: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()
        self._listen(self._wake, select.POLLIN, self._on_wake)
        self._listen(self._signals.fd, select.POLLIN, self._on_signal)
        self._listen(self._mounts.fileno(), MountChanges.EVENTS, self._on_mounts)

    def run(self) -> None:
        """Until a signal ends it."""
        self._arm()
        self._overseer.ready()
        self._ping(time.monotonic())
        while not self._is_stopping:
            self._on_time(time.monotonic())
            due = min(self._vigil.wake, self._ping_due, self._rearm_due)
            for fd, _ in self._poll.poll(pacing.poll_timeout(due - time.monotonic())):
                self._sources[fd]()

    def close(self) -> None:
        """Let go of everything; a repair that is this process's own child is waited for, one
        that is systemd's goes on without, and only what waits for it here is ended.
        """
        self._overseer.stopping()
        self._watch.close()
        self._mounts.close()
        self._signals.close()
        if self._repair is not None and self._overseer.is_there:
            # systemd does not notice in every container that the last process of a unit is gone,
            # unless that is the main one; and then takes the stop for failed.
            offspring.end_for(self._repair)
        elif self._repair is not None:
            self._repair.join()
        self._state.close()
        os.close(self._wake)

    def _listen(self, fd: int, events: int, source: Callable[[], None]) -> None:
        self._sources[fd] = source
        self._poll.register(fd, events)

    def _notice(self) -> None:
        """Called from other threads."""
        os.eventfd_write(self._wake, 1)

    def _on_wake(self) -> None:
        os.eventfd_read(self._wake)
        if self._ended.empty():
            self._happen(events.Noticed(is_closed=not self._watch.is_written_to))
            return
        repaired = self._ended.get()
        self._repair = None
        self._glance.remember(is_repaired=not repaired.error)
        self._tell(repair_at=utc(time.time()), repair=repaired.error or "done")
        self._happen(events.Ended(error=repaired.error, is_locked=repaired.is_locked))

    def _on_signal(self) -> None:
        for number in self._signals.come():
            if number == signal.SIGHUP:
                self._reload()
            else:
                self._is_stopping = True

    def _on_mounts(self) -> None:
        if not self._mounts.changed():
            return
        if self._overseer.is_there and self._is_boxed and not self._is_boot_read_only():
            # What is mounted after the start is not read-only in this unit's namespace. A new
            # process has a new one.
            manager.restart(service.WATCHER)
        self._happen(events.Noticed(is_hopeful=True))

    def _on_devices(self) -> None:
        if self._devices is not None and self._devices.changed():
            self._happen(events.Noticed())

    def _on_time(self, now: float) -> None:
        if now >= self._rearm_due:
            self._rearm(now)
        if now >= self._ping_due:
            self._rearm(now)
            self._ping(now)
        if now >= self._vigil.wake:
            self._happen(events.Tick())

    def _rearm(self, now: float) -> None:
        if self._arm():
            self._happen(events.Noticed())
        self._rearm_due = now + REARM_SECONDS if self._troubles else math.inf

    def _ping(self, now: float) -> None:
        """Only while every thread lives; `_arm` has just replaced a dead one if it could."""
        if self._overseer.ping_interval:
            self._ping_due = now + self._overseer.ping_interval
            if self._watch.is_alive:
                self._overseer.ping()

    def _happen(self, happening: events.Happening) -> None:
        self._vigil, actions = pacing.step(self._vigil, happening, time.monotonic(), self._pace)
        for action in actions:
            match action:
                case events.Look():
                    self._happen(self._seen())
                case events.Repair():
                    self._start(action)
                case events.Tell():
                    news.tell(action)
        self._tell(phase=str(self._vigil.phase), retry_at=self._retry_at())

    def _seen(self) -> events.Seen:
        self._arm()
        try:
            differences = self._glance.differences()
        except GuestHooksError as error:
            self._tell(look_at=utc(time.time()), look=error.message, is_well=False)
            return events.Seen(error=error.message, is_waiting=isinstance(error, UnmountedError))
        self._tell(
            look_at=utc(time.time()),
            look=f"differs: {', '.join(differences)}" if differences else "as it was left",
            is_well=not differences,
        )
        return events.Seen(
            differences=differences,
            holder=self._met() if differences else "",
            held_for=hold.held_for(self._root, repair=self._config.repair),
        )

    def _met(self) -> str:
        """Who has our lock, and would keep a repair waiting; for the package manager a repair
        waits itself.
        """
        holder = holders.holder(self._root, LOCK)
        return f"{holder} holds {self._root.outside(LOCK)}" if holder else ""

    def _start(self, repair: events.Repair) -> None:
        news.tell_repair(repair)
        self._repair = threading.Thread(target=self._work, name="repair", daemon=True)
        self._repair.start()

    def _work(self) -> None:
        repaired = manager.Repaired(error="the repair broke off; its traceback is in the journal")
        try:
            repaired = self._fix()
        finally:
            self._ended.put(repaired)
            self._notice()

    def _arm(self) -> bool:
        """Set what is not watched; whether something was missed meanwhile."""
        was_lost = self._watch.arm()
        troubles = list(self._watch.troubles)
        if self._devices is None:
            try:
                self._devices = BlockDevices()
                self._listen(self._devices.fileno(), select.POLLIN, self._on_devices)
            except (GuestHooksError, OSError) as error:
                troubles.append(str(error))
        losses = self._watch.overflows + self._watch.deaths
        if losses > self._seen_losses:
            news.tell_losses()
            self._seen_losses = losses
        if tuple(troubles) != self._troubles:
            self._troubles = tuple(troubles)
            self._rearm_due = time.monotonic() + REARM_SECONDS if troubles else math.inf
            news.tell_troubles(self._troubles)
        self._tell(
            troubles=self._troubles, watches=self._watch.count, overflows=self._watch.overflows
        )
        return was_lost

    def _reload(self) -> None:
        self._overseer.reloading()
        try:
            self._config = self._configure()
        except GuestHooksError as error:
            news.tell_reload(error)
        else:
            self._pace = pacing.of(self._config)
            self._happen(events.Reloaded())
        self._overseer.ready()

    def _tell(self, **changes: object) -> None:
        """Keep the state file and systemd's status line up to date; nothing is written where
        nothing changed.
        """
        told = replace(self._told, **changes)  # type: ignore[arg-type]
        if told != self._told:
            self._told = told
            self._state.write(told)
            self._overseer.status(service.line(told))

    def _retry_at(self) -> str:
        wait = self._vigil.retry - time.monotonic()
        return utc(time.time() + wait) if wait < math.inf else ""

    def _is_boot_read_only(self) -> bool:
        mount = self._mounts.mount_of(BOOT)
        return mount is not None and mount.is_read_only
