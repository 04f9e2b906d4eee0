# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap answer to "has anything changed since the last sync?", for the running system.

The fingerprint is a text of lines, one a subject: a file or directory that a verdict rests on and
what the kernel says of it (inode, size, times to the nanosecond), or a word by which the guest and
/boot's file system are known. As long as every line still holds, so does the verdict. Nothing is
imported here that is not cheap: this is all a sync with nothing to do should cost.

A file that may be lost has one more line, with its spare: another subject, of the same bytes. As
long as all else holds, so does the verdict on what it was (`spares`).
"""

import os
import time
import zlib

from guest_hooks import __version__
from guest_hooks.formats import superblock
from guest_hooks.machine.listing import listed
from guest_hooks.paths import STATE_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FINGERPRINT = f"{STATE_DIR}/fingerprint"
HEAD = f"fingerprint 3 of {__version__}"
END = "end"
"""The first and the last line: another version may judge otherwise, and one that was cut off,
even behind a whole line, is none.
"""
SPARE = "spare"
"""The kind of a line that tells of a spare: a path, that of its spare, and their `checksum`."""
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
"""What the name of a target is made of."""
KERNELS = ("vmlinuz-", "vmlinux-", "kernel-", "initrd.", "initrd-", "initramfs-")
"""How the names begin that grub-mkconfig may take for those of kernels and initrds."""
TICKING = 5
"""CLOCK_REALTIME_COARSE (linux/time.h), which Python has no name for: a file's times are taken from
it (fs/inode.c, current_time), or from a finer one, which is ahead of it.
"""
TICK_SECONDS, TICKS = 0.001, 40
"""How often that clock is looked at, and how many times at most: it may be set back."""
GRAINS_NS = ((1_000_000_000, 1_100_000_000), (10_000_000, 20_000_000))
"""File systems that keep whole seconds, and those that keep hundredths (FAT); with each, how long
after such a time a change may leave it as it was.
"""


def path_for(*names: str) -> str:
    """Where the fingerprint of a sync of the targets `names` is; of no name: of those that the
    configuration names. Empty where one can't be the name of a target.
    """
    chosen = sorted(set(names))
    if not all(name[:1].isalpha() and _NAME.issuperset(name) for name in chosen):
        return ""
    return ".".join((FINGERPRINT, *chosen))


def holds(path: str = FINGERPRINT) -> bool:
    """Whether everything still is as the fingerprint says; False where there is none, or it
    can't be read.
    """
    return not differing(path)


def differing(path: str = FINGERPRINT) -> tuple[str, ...]:
    """What is no longer as the fingerprint says: the subjects' paths, or that of the
    fingerprint where it can't be read.
    """
    lines = _lines(path)
    if not lines:
        return (path,)
    changed = (line for line in lines if not _still(line))
    return tuple(dict.fromkeys([*line.split("\t"), path][1] for line in changed))


def lost(path: str) -> dict[str, tuple[str, str]]:
    """The files that are gone, each with its spare and their checksum; empty where anything else is
    no longer as the fingerprint says.
    """
    rows = [line.split("\t") for line in _lines(path)]
    spares = {row[1]: (row[2], row[3]) for row in rows if row[0] == SPARE and len(row) == 4}
    gone = [row[1] for row in rows if row[0] == "stat" and not _still("\t".join(row))]
    is_all = all(_still("\t".join(row)) for row in rows if row[0] != "stat")
    if not is_all or any(each not in spares or os.path.lexists(each) for each in gone):
        return {}
    return {each: spares[each] for each in gone}


def checksum(data: bytes) -> str:
    """What tells a spare that has decayed on the disk from one that is whole."""
    return f"{len(data)} {zlib.crc32(data):08x}"


def _lines(path: str) -> list[str]:
    """The lines between the first and the last; none where it can't be read, or is not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        return []
    is_whole = len(lines) > 2 and lines[0] == HEAD and lines[-1] == END
    return lines[1:-1] if is_whole else []


def measured(subjects: list[tuple[str, str]]) -> tuple[str, ...]:
    """A line for each subject, to be compared with later ones; one that can't be measured has a
    line that says so.
    """
    lines = []
    for kind, path in subjects:
        try:
            lines.append(_measure(kind, path))
        except (OSError, ValueError) as error:
            lines.append(f"{kind}\t{path}\t{error}")
    return tuple(lines)


def _still(line: str) -> bool:
    if line.startswith(f"{SPARE}\t"):
        return True
    try:
        return _measure(*line.split("\t")[:2]) == line
    except (OSError, ValueError, TypeError, KeyError):
        return False


def take(
    subjects: list[tuple[str, str]], spares: "Mapping[str, tuple[str, str]] | None" = None
) -> str:
    """The fingerprint of `subjects`, pairs of a kind (a key of `_KINDS`) and a path without
    tabs and newlines. `spares` are, by path, the spare and the checksum of files among them.

    Waits before, mostly for the kernel's next tick and at most about a second, until a change can
    no longer leave the same times behind.
    """
    looked_at = (path for kind, path in subjects if kind in ("stat", "dir"))
    _wait_beyond([changed for path in looked_at for changed in _times(path)])
    rows = ("\t".join((SPARE, path, *spare)) for path, spare in (spares or {}).items())
    return _text_of([*(_measure(kind, path) for kind, path in subjects), *rows])


def again(path: str, changed: "Collection[str]") -> str:
    """The fingerprint at `path`, with the files `changed` as they are now; waits as `take`."""
    _wait_beyond([time for each in changed for time in _times(each)])
    rows = [(line, line.split("\t")) for line in _lines(path)]
    return _text_of(
        [
            _measure(*row[:2]) if row[0] == "stat" and row[1] in changed else line
            for line, row in rows
        ]
    )


def _text_of(lines: list[str]) -> str:
    return "\n".join((HEAD, *lines, END)) + "\n"


def _wait_beyond(times: list[int]) -> None:
    """Wait until what changes now gets a later time than any of these (ns)."""
    newest = max(times, default=0)
    for _ in range(TICKS):
        if time.clock_gettime_ns(TICKING) > newest:
            break
        time.sleep(TICK_SECONDS)
    for unit, grain in GRAINS_NS:
        rough = max((changed for changed in times if changed % unit == 0), default=0)
        time.sleep(max(0, min(rough + grain - time.time_ns(), grain)) / 1e9)


def _measure(kind: str, path: str) -> str:
    return f"{kind}\t{path}\t{_KINDS[kind](path)}"


def _stat(path: str) -> str:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    return _facts(status)


def _facts(status: os.stat_result) -> str:
    return (
        f"{status.st_mode:o} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
        f" {status.st_ctime_ns}"
    )


def _dir(path: str) -> str:
    """One checksum over the directory itself and the facts of all in it."""
    try:
        rows = sorted(
            f"{entry.name} {_facts(entry.stat(follow_symlinks=False))}"
            for entry in listed(path, path)
        )
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    return (
        f"{len(rows)} {zlib.crc32(''.join(rows).encode('utf-8', 'surrogateescape')):08x}"
        f" {_stat(path)}"
    )


def _kernels(path: str) -> str:
    """The names of kernels and initrds in a directory, and their facts."""
    names = sorted(entry.name for entry in listed(path, path) if entry.name.startswith(KERNELS))
    rows = [f"{name} {_stat(path + '/' + name)}" for name in names]
    return f"{len(rows)} {zlib.crc32(''.join(rows).encode('utf-8', 'surrogateescape')):08x}"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return repr(file.read(4096))
    except OSError as error:
        return f"unreadable {error.errno}"


def _file_system(path: str) -> str:
    # Not whether it is read-only: it always is for the repair service, and a sync with nothing to
    # do does not care.
    return f"{os.stat(path).st_dev} {os.statvfs(path).f_fsid}"


def _place(path: str) -> str:
    """Where `path`, links followed, is in its file system: a subvolume or directory that took
    its place has another name there.
    """
    real = os.path.realpath(path)
    best = found = ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, _, _, top, point = line.split(" ", 5)[:5]
            if len(point) >= len(best) and (point in ("/", real) or real.startswith(f"{point}/")):
                best, found = (
                    point,
                    f"{top.rstrip('/')}/{real.removeprefix(point).strip('/')}".rstrip("/"),
                )
    return repr(found or "/")


def _uuid(device: str) -> str:
    """The UUID of the file system, and its features: GRUB may be too old for a new one."""
    try:
        with open(device, "rb", buffering=0) as file:
            data = file.read(superblock.SHAPE_SIZE)
        return f"{superblock.read_uuid(data)} {superblock.shape(data)}"
    except OSError as error:
        return f"unreadable {error.errno}"


def _machine(_path: str) -> str:
    return os.uname().machine


def _times(path: str) -> list[int]:
    """When `path`, and what is in it where it is a directory, changed last."""
    try:
        found = [os.lstat(path).st_ctime_ns]
        if os.path.isdir(path):
            entries = listed(path, path)
            found += [entry.stat(follow_symlinks=False).st_ctime_ns for entry in entries]
    except FileNotFoundError:
        return []
    return found


_KINDS = {
    "stat": _stat,
    "dir": _dir,
    "kernels": _kernels,
    "text": _text,
    "fs": _file_system,
    "place": _place,
    "uuid": _uuid,
    "uname": _machine,
}
