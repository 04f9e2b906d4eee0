# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB itself as a program, run on a menu: what it would start when nobody touches a key."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 5.0
MARK, END = "BOOT", "ENDS"
"""Between these two words stands what an entry prints in place of what it would load."""
_WIDE = "terminfo -g 4000x24 console vt100\n"
"""GRUB breaks what is wider than its terminal at a space, which is then lost."""
_ENDS = (b"Press any key", b"grub> ", b"GNU GRUB", b"Enter username", END.encode())


def started(
    directory: Path, menu: str, files: Mapping[str, str], *, is_long: bool = False
) -> tuple[str | None, bool]:
    """What the entry that GRUB starts by itself prints between `MARK` and `END`, and whether
    GRUB complained of anything.

    With `is_long`, GRUB is not left after the first entry that fails, and needs not wait for its
    ten seconds.
    """
    text = screen(directory, menu, files, is_long=is_long)
    found = re.search(rf"{MARK} (.*?) ?{END}", text)
    return (found[1] if found else None), "error: " in text


def screen(directory: Path, menu: str, files: Mapping[str, str], *, is_long: bool = False) -> str:
    """What GRUB shows until it has started something, or waits for somebody."""
    directory.mkdir(exist_ok=True)
    for name, text in {**files, "grub.cfg": _WIDE + menu}.items():
        (directory / name).write_text(text)
    pid, terminal = pty.fork()
    if pid == 0:
        command = ["grub-emu", "-r", "host", "-d", str(directory)]
        environment = {"TERM": "dumb", "PATH": "/usr/bin"}
        os.execve("/usr/bin/grub-emu", command, environment)  # noqa: S606 - in its own terminal
    try:
        shown = _read(terminal, is_long=is_long).decode(errors="replace")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", "", shown)


def _read(terminal: int, *, is_long: bool) -> bytes:
    screen, end, asked = b"", time.monotonic() + SECONDS, 0
    while not any(word in screen for word in _ENDS[is_long:]):
        if screen.count(_ENDS[0]) > asked:
            asked += 1
            os.write(terminal, b" ")
        if time.monotonic() > end:  # some scripts keep it busy for ever
            return screen + b"error: it hangs"
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # it has ended
            break
        screen += data
    return screen
