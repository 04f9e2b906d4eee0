# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service as others see it: the small file in /run that the watcher keeps, and
whether its writer lives.

Everybody may read that file, so everybody could lock it, too. What keeps a second watcher out is a
lock on another file, which is root's alone; whether the writer lives is told by its pid and the
time when that process began.
"""

import fcntl
import json
import os
import time
from contextlib import ExitStack, suppress

from guest_hooks.errors import LackingError, LockedError
from guest_hooks.machine import dpkg, stored
from guest_hooks.machine.root import Root
from guest_hooks.records import asdict, dataclass, replace
from guest_hooks.repairs import ServiceStatus, seconds

RUN_DIR = "/run/xen-guest-bootloader/watch"
"""The watcher's alone: systemd removes it with the service, and a repair may be staging in the
directory above.
"""
FILE = f"{RUN_DIR}/state.json"
LOCK = f"{RUN_DIR}/lock"
WATCHER = "xen-guest-bootloader.service"
SIZE = 8192
"""Bytes; the file is always this long, filled up with spaces, so that one write replaces it."""
MOST_TROUBLES = 10
MOST_WORDS = 300
"""Characters of one sentence."""
MOST_LINE = 1000
"""Characters of the status line."""


def local(text: str) -> str:
    """The point in time that `utc` wrote as `text`, in local time."""
    at = seconds(text)
    return text if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def line(status: ServiceStatus) -> str:
    """What `systemctl status` shows, one line."""
    words = [status.phase or "starting"]
    if status.look:
        words.append(f"last look {local(status.look_at)}: {status.look}")
    if status.repair:
        words.append(f"last repair {local(status.repair_at)}: {status.repair}")
    if status.retry_at:
        words.append(f"next try {local(status.retry_at)}")
    return " ".join("; ".join([*words, *status.troubles]).split())[:MOST_LINE]


class StateFile:
    """The watcher's end of the file: its own from `__init__` to `close`, written by `write`.

    Raises `LockedError` where another watcher runs and `LackingError` where the file cannot be
    made.
    """

    def __init__(self, root: Root) -> None:
        self._began = _process(os.getpid()).began
        with ExitStack() as unless_kept:
            self._lock = _opened(root, LOCK, 0o600)
            unless_kept.callback(os.close, self._lock)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise LockedError(
                    "the repair service runs already", hint=f"systemctl status {WATCHER}"
                ) from error
            self._fd = _opened(root, FILE, 0o644)
            unless_kept.pop_all()
        os.ftruncate(self._fd, 0)

    def write(self, status: ServiceStatus) -> None:
        """Replace what the file says; a status file that can't be written stops nothing."""
        row = {
            name: value[:MOST_WORDS] if isinstance(value, str) else value
            for name, value in asdict(status).items()
        }
        row["began"] = self._began
        row["troubles"] = [trouble[:MOST_WORDS] for trouble in status.troubles[:MOST_TROUBLES]]
        data = json.dumps(row, ensure_ascii=False).encode(errors="replace").ljust(SIZE - 1) + b"\n"
        with suppress(OSError):
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))

    def close(self) -> None:
        """Empty the file and let it go: the watcher ended as it should."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        os.close(self._lock)


def read(root: Root) -> ServiceStatus:
    """How the repair service of the running system is; never raises, and waits for nothing."""
    found = _read(root) or _read(root)  # a write met half-way
    if found is None:
        return ServiceStatus()
    status, began = found
    writer = _process(status.pid)
    if not writer.began and not _process(1).began:  # hidepid= in proc(5)
        return replace(
            status, troubles=("whether it still runs is hidden from this user", *status.troubles)
        )
    if writer.began != began:
        left = f"it ended without a word: see journalctl -u {WATCHER}"
        return replace(status, running=False, troubles=(left, *status.troubles))
    if writer.state in ("T", "t"):
        return replace(
            status, troubles=(f"process {status.pid} is stopped by a signal", *status.troubles)
        )
    waits_for = dpkg.holder(root) if status.phase == "repairing" else ""
    return (
        replace(status, troubles=(f"the repair waits: {waits_for}", *status.troubles))
        if waits_for
        else status
    )


def _opened(root: Root, path: str, mode: int) -> int:
    """A descriptor of the file at `path`, made where there is none."""
    try:
        root.make_dirs(RUN_DIR)
        with root.parent(path) as (directory, name):
            return os.open(
                name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=directory
            )
    except OSError as error:
        where = root.outside(path)
        raise LackingError(
            f"{where} can't be made: {error.strerror}", hint="the repair service runs as root"
        ) from error


def _read(root: Root) -> tuple[ServiceStatus, str] | None:
    """What the file says, and when its writer began, as `_Process.began`."""
    try:
        row = json.loads(root.content(FILE, limit=2 * SIZE) or b"")
    except ValueError:
        return None
    status = stored.record(ServiceStatus, row)
    return None if status is None else (status, str(row.get("began")))


@dataclass(frozen=True, slots=True)
class _Process:
    """A process: its state letter, and when it began in clock ticks since the boot; empty where
    there is none.
    """

    state: str = ""
    began: str = ""


def _process(pid: int) -> _Process:
    # "1234 (name) S 1 …", where the name may hold anything; starttime is the 20th field after it
    # (proc_pid_stat(5)).
    fields = (Root().read_text(f"/proc/{pid}/stat") or "").rpartition(") ")[2].split()
    return _Process(fields[0], fields[19]) if len(fields) > 19 else _Process()
