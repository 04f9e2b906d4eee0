# SPDX-License-Identifier: GPL-3.0-or-later
"""What is being done and for how long, on a terminal; nothing anywhere else."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from guest_hooks.report.layout import Palette, palette
from guest_hooks.terminal import printable

SHOW_AFTER_SECONDS = 0.2
REFRESH_SECONDS = 0.2
CLEAR_LINE = "\r\033[K"


@contextmanager
def shown(what: str, stream: TextIO) -> Iterator[None]:
    """Keep one line on `stream` for as long as the block takes; steps of a moment are not shown
    at all.
    """
    if not stream.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(what, stream, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(what: str, stream: TextIO, done: threading.Event) -> None:
    start = time.monotonic()
    if done.wait(SHOW_AFTER_SECONDS):
        return
    with suppress(OSError, ValueError):  # the terminal may go away meanwhile
        if palette(os.environ.get("TERM", "")) is Palette.NONE:  # it can clear no line
            stream.write(f"{printable(what)} …\n")
            stream.flush()
            return
        while True:
            stream.write(f"{CLEAR_LINE}{printable(what)} … {time.monotonic() - start:.1f} s")
            stream.flush()
            if done.wait(REFRESH_SECONDS):
                break
        stream.write(CLEAR_LINE)
        stream.flush()
