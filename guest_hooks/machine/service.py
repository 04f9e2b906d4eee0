"""The repair service as others see it: the small file in /run that the watcher keeps, and whether its writer lives.

The watcher holds a lock on the file as long as it runs, so that a file left behind by a killed one is told from a live one.
"""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from guest_hooks.errors import LackingError, LockedError
from guest_hooks.machine import holders
from guest_hooks.machine.root import NotRegularError, Root

RUN_DIR = "/run/xen-guest-bootloader/watch"
"""The watcher's alone: systemd removes it with the service, and a repair may be staging in the directory above."""
FILE = f"{RUN_DIR}/state.json"
WATCHER = "xen-guest-bootloader.service"
SYNC = "xen-guest-bootloader-sync.service"
SIZE = 8192
"""Bytes; the file is always this long, filled up with spaces, so that one write replaces it."""
MOST_TROUBLES = 10
MOST_WORDS = 300
"""Characters of one sentence."""
MOST_LINE = 1000
"""Characters of the status line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The repair service. Times are UTC as `2026-01-31T12:00:00Z`, or empty for "not yet".

    `phase` is what it is doing (`pacing.Phase`), `look` what its last look found, `repair` what its last repair came to, `retry`
    when what resisted is tried again, `troubles` what it cannot do or has met, one sentence each.
    """

    running: bool = False
    pid: int = 0
    since: str = ""
    phase: str = ""
    look_at: str = ""
    look: str = ""
    repair_at: str = ""
    repair: str = ""
    retry_at: str = ""
    watches: int = 0
    overflows: int = 0
    troubles: tuple[str, ...] = ()


def utc(seconds: float) -> str:
    """A point in time (seconds since the epoch) as reports write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def changed(status: ServiceStatus, changes: Mapping[str, object]) -> ServiceStatus:
    """`status` with some fields changed."""
    return replace(status, **changes)  # type: ignore[arg-type]


def line(status: ServiceStatus) -> str:
    """What `systemctl status` shows, one line."""
    words = [status.phase or "starting"]
    if status.look:
        words.append(f"last look {status.look_at}: {status.look}")
    if status.repair:
        words.append(f"last repair {status.repair_at}: {status.repair}")
    if status.retry_at:
        words.append(f"next try {status.retry_at}")
    return " ".join("; ".join([*words, *status.troubles]).split())[:MOST_LINE]


class StateFile:
    """The watcher's end of the file: held locked from `__init__` to `close`, written by `write`.

    Raises `LockedError` where another watcher runs and `LackingError` where the file cannot be made.
    """

    def __init__(self, root: Root) -> None:
        path = root.outside(FILE)
        try:
            root.make_dirs(RUN_DIR)
            with root.parent(FILE) as (directory, name):
                self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=directory)
        except OSError as error:
            raise LackingError(f"{path} can't be made: {error.strerror}", hint="the repair service runs as root") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise LockedError("the repair service runs already", hint=f"systemctl status {WATCHER}") from error
        os.ftruncate(self._fd, 0)

    def write(self, status: ServiceStatus) -> None:
        """Replace what the file says; a status file that can't be written stops nothing."""
        row = {name: value[:MOST_WORDS] if isinstance(value, str) else value for name, value in asdict(status).items()}
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


def read(root: Root) -> ServiceStatus:
    """How the repair service of the running system is; never raises, and waits for nothing."""
    try:
        status = _parse(root.read(FILE, limit=2 * SIZE)) or _parse(root.read(FILE, limit=2 * SIZE))  # a write met half-way
    except (OSError, NotRegularError):
        return ServiceStatus()
    if status is None:
        return ServiceStatus()
    if not holders.is_held(root, FILE):
        left = f"it ended without a word: see journalctl -u {WATCHER}"
        return replace(status, running=False, troubles=(left, *status.troubles))
    if _process_state(status.pid) in ("T", "t"):
        return replace(status, troubles=(f"process {status.pid} is stopped by a signal", *status.troubles))
    return status


def _parse(data: bytes) -> ServiceStatus | None:
    try:
        row = json.loads(data)
    except ValueError:
        return None
    defaults = ServiceStatus()
    if not isinstance(row, dict):
        return None
    values: dict[str, Any] = {name: row.get(name) for name in defaults.__slots__}
    troubles = values.pop("troubles")
    if any(type(value) is not type(getattr(defaults, name)) for name, value in values.items()) or not isinstance(troubles, list):
        return None
    return ServiceStatus(**values, troubles=tuple(str(trouble) for trouble in troubles))


def _process_state(pid: int) -> str:
    """The state letter of proc_pid_stat(5), empty where there is no such process."""
    # "1234 (name) S 1 …", where the name may hold anything
    return (Root().read_text(f"/proc/{pid}/stat") or "").rpartition(") ")[2][:1]
