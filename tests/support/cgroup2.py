# SPDX-License-Identifier: GPL-3.0-or-later
"""A group of processes on version 2 of control groups alone, which systemd 258 and later demand."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

ENTER = """\
set -eu
group=/sys/fs/cgroup/$1
shift
version=$(stat --file-system --format=%T /sys/fs/cgroup)
[ "$version" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "$group"
echo $$ >"$group/cgroup.procs"
exec "$@"
"""
REMOVE = ("sh", "-c", 'find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +', "sh")


@contextmanager
def group(name: str) -> Iterator[list[str]]:
    """A control group for the block: what to put before a command that shall run in it.

    The command sees version 2 at /sys/fs/cgroup, also on a machine that has version 1 there.
    """
    enter = ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-c", ENTER, "sh"]
    try:
        yield [*enter, name]
    finally:
        remove = [*enter, ".", *REMOVE, name]
        subprocess.run(remove, check=False, capture_output=True, timeout=60)
