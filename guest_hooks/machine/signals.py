# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as bytes to read from a descriptor, so that one poll(2) waits for them like for
everything else.
"""

import os
import signal
from types import FrameType


class Signals:
    """SIGTERM, SIGINT and SIGHUP from construction to `close`, in the main thread alone; `fd`
    is readable when one came.
    """

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, _ignore)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }

    def come(self) -> bytes:
        """The numbers of the signals that came."""
        return os.read(self.fd, 64)

    def close(self) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        os.close(self.fd)
        os.close(self._write)


def _ignore(number: int, frame: FrameType | None) -> None:
    """The number is on its way through the pipe."""
