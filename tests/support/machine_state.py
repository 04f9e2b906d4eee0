# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests could leave on the machine that they ran on: kernel settings, loop devices,
mounts, processes.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SETTINGS = Path("/proc/sys")
VOLATILE = {"kernel/ns_last_pid"}
"""What the kernel itself writes into a setting that can be written."""


def settings() -> dict[str, str]:
    """Every kernel setting that root can change, and its value."""
    found = {}
    for directory, directories, names in os.walk(SETTINGS):
        directories[:] = [
            name for name in directories if name != "binfmt_misc"
        ]  # which may be mounted by looking at it
        for path in (Path(directory, name) for name in names):
            # What may only be written acts when it is read from or written to, and holds no value.
            with suppress(OSError):
                if (
                    path.stat().st_mode & 0o600 == 0o600
                    and str(path.relative_to(SETTINGS)) not in VOLATILE
                ):
                    found[str(path.relative_to(SETTINGS))] = path.read_text(
                        errors="replace"
                    ).strip()
    return found


def changed_settings(before: dict[str, str]) -> list[str]:
    """The settings that are no longer what they were; what came or went with a device or a
    module is not one.
    """
    now = settings()
    return [
        f"{name}: {before[name]} -> {now[name]}"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]


def leftovers(directory: Path) -> list[str]:
    """What still holds on to something below `directory`: loop devices, mounts, processes other
    than this one.
    """
    return [*_loops(directory), *_mounts(directory), *_processes(directory)]


def _loops(directory: Path) -> Iterator[str]:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            if (file := path.read_text().strip()).startswith(f"{directory}/"):
                yield f"loop device {path.parts[3]} of {file}"


def _mounts(directory: Path) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # proc_pid_mountinfo(5): the fifth field is the mount point
        if (place := line.split()[4]).startswith(f"{directory}/"):
            yield f"mount on {place}"


def _processes(directory: Path) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            places = (os.readlink(process / "cwd"), os.readlink(process / "root"))
            if f"{directory}/" in words or any(
                place.startswith(f"{directory}/") for place in places
            ):
                yield f"process {process.name}: {words.strip()}"
