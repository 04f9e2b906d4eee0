# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard streams: what can't be said changes neither what is done nor how a run ends.

A sync with nothing to do imports this, too: nothing is imported here that is not cheap.
"""

import io
import os
import sys

from guest_hooks import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def open_closed() -> None:
    """Put /dev/null where a standard descriptor is closed, or Python opens a file there and
    writes messages into it.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is `fd`
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    # A locale may lack our characters, and a path may be no text at all.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def takes_unicode(stream: "TextIO") -> bool:
    """Whether every character can be written to `stream`."""
    return (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"


def say(lines: "Iterable[str]", stream: "TextIO | None" = None) -> None:
    """Write `lines` for a person, on standard error by default; what can't be written is
    dropped, with all that follows it.
    """
    stream = stream or sys.stderr
    try:
        for line in lines:
            stream.write(f"{terminal.shown(line)}\n")
        stream.flush()
    except (OSError, ValueError):
        mute(stream)


def settle() -> None:
    """Write out what is buffered: Python would end with exit code 120 where it can't do that
    itself.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            mute(stream)


def mute(stream: "TextIO") -> None:
    """Let all that is written to `stream` from now on, and what it has buffered, go nowhere."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):  # not a stream of this process, or no descriptor is left
        return


def pass_on(data: bytes, stream: "TextIO") -> None:
    """Write what another program said to `stream`, byte by byte; to a terminal only what leaves
    its cursor alone.
    """
    try:
        stream.flush()
        if stream.isatty():
            stream.write(terminal.printable_lines(data.decode(errors="replace")))
            stream.flush()
        else:
            stream.buffer.write(data)
            stream.buffer.flush()
    except (OSError, ValueError):
        mute(stream)
