# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's first look: a sync with nothing to do, or with a file to put back, ends here,
before anything heavy is imported.
"""

import gc
import os
import sys

from guest_hooks import __version__
from guest_hooks.machine import fingerprint, streams
from guest_hooks.program import PROGRAM

PLAIN_SYNC = {"sync", "-q", "--quiet", "--automatic", "--no-update-grub"}
"""Words that ask for nothing beyond what the fingerprint answers."""
LOCK_TIMEOUT = "--lock-timeout"
INTERRUPTED = 130
"""What a shell makes of a program that SIGINT ended."""
UMASK = 0o022
"""What is made in /boot and beside it is for all to look at, whoever calls; what GRUB's tools
make there, too.
"""
GARBAGE = 100_000
"""New objects before Python looks for garbage: its imports alone would have it look hundreds of
times, for nothing.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return its exit code
    (`errors.ExitCode`).
    """
    streams.open_closed()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        streams.settle()


def _run(words: list[str]) -> int:
    path = _fingerprint_for(words)
    changed = fingerprint.differing(path)
    if not changed and not _is_audit(words):
        if not {"-q", "--quiet"} & set(words):
            streams.say(["Nothing to do: nothing has changed since the last sync."], sys.stdout)
        return 0
    if words == ["--version"]:
        streams.say([f"{PROGRAM} {__version__}"], sys.stdout)
        return 0
    os.umask(UMASK)
    if words == ["watch"]:
        return _watch()
    gc.set_threshold(GARBAGE)
    if changed and path and path not in changed and not any(map(os.path.lexists, changed)):
        from guest_hooks.cli import lost_files  # noqa: PLC0415 - as the verbs

        if lost_files.put_back(words, path):
            return 0
    from guest_hooks.cli import verbs  # noqa: PLC0415 - a sync with nothing to do needs none

    return verbs.run(words)


def _fingerprint_for(words: list[str]) -> str:
    """The fingerprint that answers a command line; empty where none does."""
    names, others = [], []
    left = iter(words)
    for word in left:
        option, _, name = word.partition("=")
        if option == "--target":
            names.append(name or next(left, ""))
        elif option == LOCK_TIMEOUT and (name or next(left, "")).isdecimal():
            continue
        else:
            others.append(word)
    is_plain = "sync" in others and PLAIN_SYNC.issuperset(others)
    return fingerprint.path_for(*names) if is_plain else ""


def _is_audit(words: list[str]) -> bool:
    """Whether the contents count, not their times and sizes alone, as for the service: it names
    how long it waits.
    """
    return any(word.partition("=")[0] == LOCK_TIMEOUT for word in words)


def _watch() -> int:
    """The repair service, as its unit runs it: without what other verbs import, which would
    stay in memory for good.
    """
    from guest_hooks.daemon import watcher  # noqa: PLC0415 - see above
    from guest_hooks.errors import GuestHooksError  # noqa: PLC0415 - with the one above
    from guest_hooks.machine.failures import looked_at  # noqa: PLC0415
    from guest_hooks.machine.root import Root  # noqa: PLC0415

    try:
        with looked_at(Root()):
            if sys.stderr.isatty():
                streams.say([f"Watching until Ctrl-C; to see what is repaired: {PROGRAM} log"])
            return int(watcher.watch())
    except GuestHooksError as error:
        streams.say(
            [f"xen-guest-bootloader: {error.message}{f'; {error.hint}' if error.hint else ''}"]
        )
        return int(error.exit_code)
