# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezing a file system for a moment, so that it writes its journal back, without ever leaving
it frozen.

Two processes guard each other. The child, in a session of its own, its memory locked and its
signals blocked, freezes and thaws at once: that the parent dies means nothing to it. The parent
thaws where the child dies or is stopped in between. What both know is a page of shared memory, so
nothing is written to any file system meanwhile.
"""

import errno
import fcntl
import gc
import mmap
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import NoReturn

from guest_hooks.machine import libc

FIFREEZE = 0xC0045877  # linux/fs.h
FITHAW = 0xC0045878
ATTEMPTS = 3
RETRY_SECONDS = 0.02
WATCH_MILLISECONDS = 100
MOST_FROZEN_SECONDS = 0.3

Failpoint = Callable[[str], None]


def no_failpoint(_name: str) -> None:
    """Go on; a test passes its own to stop or die at a named point."""


class _Step(IntEnum):
    READY = 0
    FREEZING = 1
    FROZEN = 2
    THAWED = 3
    FAILED = 4


_STEP, _ERRNO = 0, 1  # where each stands in the shared page


def freeze_and_thaw(fd: int, *, timeout: float = 30.0, failpoint: Failpoint = no_failpoint) -> None:
    """Freeze the file system of `fd` and thaw it at once; on return all of it is where a reader
    without a journal finds it.

    Waits up to `timeout` seconds while someone else holds it frozen, and does not thaw such a
    freeze. Raises `OSError`: EBUSY where that lasted too long, ETIMEDOUT where the kernel did not
    finish (the child still thaws), EOPNOTSUPP, EPERM. `failpoint` is called in the child with
    `ready`, `freezing`, `frozen` and `thawed`, in the parent with `watching`.
    """
    for _ in range(ATTEMPTS):
        step, code = _once(fd, timeout, failpoint)
        if step in (_Step.FROZEN, _Step.THAWED):
            return
        if step is _Step.FAILED:
            raise OSError(code, os.strerror(code))
    raise OSError(errno.EINTR, "the process that freezes was killed each time")


def _once(fd: int, timeout: float, failpoint: Failpoint) -> tuple[_Step, int]:
    """One freeze and thaw by a child; the last step it took, and its errno where that is FAILED."""
    deadline = time.monotonic() + timeout
    with mmap.mmap(-1, mmap.PAGESIZE) as shared:
        read_end, write_end = os.pipe()
        try:
            pid = _fork(fd, shared, deadline, failpoint, write_end)
            failpoint("watching")
            _watch(fd, pid, shared, read_end, deadline)
        finally:
            os.close(read_end)
        return _Step(shared[_STEP]), shared[_ERRNO]


def _fork(fd: int, shared: mmap.mmap, deadline: float, failpoint: Failpoint, write_end: int) -> int:
    """Start the child with every signal blocked; its end closes the pipe's only write end."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _freeze_in_child(fd, shared, deadline, failpoint)
        return pid
    finally:
        os.close(write_end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _watch(fd: int, pid: int, shared: mmap.mmap, end: int, deadline: float) -> None:
    """Wait until the child ends, and kill it where it hangs; thaw for it where it has frozen the
    file system and no more.
    """
    poll = select.poll()
    poll.register(end, 0)  # a hang-up is always told
    frozen_since: float | None = None
    while not poll.poll(WATCH_MILLISECONDS) and shared[_STEP] < _Step.THAWED:
        now = time.monotonic()
        if shared[_STEP] == _Step.FROZEN:
            frozen_since = frozen_since or now
            if now - frozen_since > MOST_FROZEN_SECONDS:
                os.kill(pid, signal.SIGKILL)
                break
        elif now > deadline + 1:
            # The kernel still waits for writers. The child is left alone: it is the one that thaws
            # when the freeze comes through.
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    if shared[_STEP] in (_Step.FREEZING, _Step.FROZEN):
        # Killed inside FIFREEZE it may have frozen or met another's freeze; to thaw is the safer of
        # the two errors.
        _thaw(fd)


def _freeze_in_child(fd: int, shared: mmap.mmap, deadline: float, failpoint: Failpoint) -> NoReturn:
    try:
        os.setsid()
        gc.disable()
        # Refused without CAP_IPC_LOCK; it guards against a rare wait for memory only.
        with suppress(OSError):
            libc.lock_memory()
        failpoint("ready")
        while True:
            shared[_STEP] = _Step.FREEZING
            failpoint("freezing")
            try:
                fcntl.ioctl(fd, FIFREEZE, 0)
            except OSError as error:
                shared[_STEP] = _Step.READY
                if error.errno in (errno.EBUSY, errno.EINTR) and time.monotonic() < deadline:
                    time.sleep(RETRY_SECONDS)
                    continue
                shared[_ERRNO] = error.errno or errno.EIO
                shared[_STEP] = _Step.FAILED
                break
            shared[_STEP] = _Step.FROZEN
            try:
                failpoint("frozen")
            finally:
                _thaw(fd)
                shared[_STEP] = _Step.THAWED
            failpoint("thawed")
            break
    finally:
        os._exit(0)


def _thaw(fd: int) -> None:
    with suppress(OSError):  # EINVAL: it is not frozen
        fcntl.ioctl(fd, FITHAW, 0)
