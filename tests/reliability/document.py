# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reliability.md: the table, how each row comes about, and what was broken."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence

from tests.reliability.measured import Measured
from tests.reliability.table import Row, markdown

WIDTH = 132
MOST_KINDS = 6
_ABOUT = """
Written by `make reliability`, as a whole or row by row: the last column says on which day and at
which commit a row was measured (`+`: with changes not committed yet). The same sweeps, shorter, run
in `make test`. "Broken" means: what GRUB's own drivers read on a raw copy of the disk is neither
the whole old nor the whole new second stage, or it lacks the modules it needs, or the file system
was left frozen, or the run that follows does not end at `current` with nothing left over, or an
error does not say what it should. `grub-install` is Debian's, run for the same target in the same
places; it is asked only for the first two of these.
"""
_HOW = (
    """
*Killed before a system call*: strace lists the calls by which a run changes a file system, and at
each that was chosen a new run is killed. With the default configuration these are all calls but
those at the files of the module directory, of which a few of each kind are taken, for all of its
hundreds are written alike; with `modules = "minimal"`, on XFS and for `grub-install` they are
chosen evenly. GRUB's view is taken at once, and again when all is written back. Then the file
system must be writable within a second.
""",
    """
*At a system call of its grub-install*: the same for the grub-install that a run starts. Killed
alone, the run must end with exit code 4; killed are also all processes in one moment, by the end of
their namespace.
""",
    """
*At evenly spread times*: by turns the run alone, so that what it started goes on beside the run
after it, and all its processes.
""",
    """
*Frozen*: each of the two processes that freeze XFS killed or stopped at each of their steps and at
many times; a file must be written within a second.
""",
    """
*A system call fails*: the same calls, each with each error; with `modules = "minimal"` with ENOSPC
and EIO. Exit code 0 is right only if all is as it should be; else it is 4 or 7, with the path, the
cause, and for want of space what is needed and what is there.
""",
    """
*Filled, the commit alone*: a built upgrade is put in place at every KiB of free space from none to
64 KiB beyond what it asks for. It must be refused before anything is touched, or end well.
""",
    """
*Filled, whole runs*: in steps of 256 KiB (`grub-install`: 64 KiB) over the whole range, and at
every KiB near none and below the least with which a run ends well (12 KiB, `grub-install`: 128
KiB).
""",
    """
*Power cut*: the disk is a file that logs each write and flush it is given. After writes evenly
chosen from all, three disks are looked at: all writes so far; of those since the last flush only
this one; all but one. At the end, what was flushed when the run returned must be all of the new.
XFS is recorded on both ways: frozen, for its top lets root alone in; and waited for.
""",
    """
*Two runs at once*: with GRUB 2.06 and 2.12 for one each, started up to 0.7 s apart, each first in
turn; what is left must be all of one of them, and both runs must end with 0. The wrapped
`grub-install` is what the package puts before Debian's.
""",
    """
*Every kind of run*: a Debian guest is put into each state (kernels and initrds missing or cut off,
menus stale, damaged or written by hand, scripts of /etc/grub.d that list nothing or fail, GRUB's
package half installed), then each kind of run is started: by hand, by service and timer, by a
kernel's hooks, a trigger, a first boot, grub-install and rollback. Broken is a guest that boots
before by preflight's verdict and not afterwards, or in whose menu's first entry GRUB's own drivers
no longer find, on the raw disk, the kernel and the initrd.
""",
    """
*Hostile trees* and what follows in the table: each point is a test of its own, in the file of that
name.
""",
    """
*Fuzzed*: atheris, guided by coverage, from real files as seeds, ten minutes a parser, a random seed
each time. No exception but the documented one; time and memory within bounds that grow with the
input's size.
""",
)
_CAN_FAIL = """
The numbers of `grub-install` show what the sweeps find where there is something to find. `make
test` shows it of a sync, too: recorded without the barrier before the new name, or without the old
file's second name, it is found broken by power cuts.
"""


def document(found: Sequence[Measured]) -> str:
    """The whole page."""
    rows = [each.row for each in found]
    parts = [
        "# Reliability, measured",
        _filled(_ABOUT),
        markdown(rows, [f"{each.source.date}, {each.source.commit}" for each in found]).rstrip(),
        _filled(_machines(found)),
        "## How",
        "\n".join(_filled(text, bullet="- ") for text in _HOW),
        "## Whether the sweeps can fail",
        _filled(_CAN_FAIL),
        *_broken(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _filled(text: str, *, bullet: str = "") -> str:
    """`text` as one paragraph or one point of a list."""
    indent = " " * len(bullet)
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _machines(found: Sequence[Measured]) -> str:
    kernels = ", ".join(dict.fromkeys(each.source.kernel for each in found))
    grubs = ", ".join(dict.fromkeys(each.source.grub for each in found))
    minutes = sum(each.row.seconds for each in found) / 60
    return (
        f"Linux {kernels}; {grubs}; GRUB modules of bookworm and trixie; {minutes:.0f} minutes of"
        " sweeps."
    )


def _broken(rows: Sequence[Row]) -> list[str]:
    parts = []
    for row in rows:
        if row.faults:
            parts += [
                f"### Ours: {row.test}",
                "\n".join(_filled(fault[:400], bullet="- ") for fault in row.faults),
            ]
        if row.plain_faults:
            kinds = Counter(_kind(fault) for fault in row.plain_faults).most_common(MOST_KINDS)
            parts += [
                f"### `grub-install`: {row.test}",
                "\n".join(_filled(f"{count}: {kind}", bullet="- ") for kind, count in kinds),
            ]
    return ["## What was broken", *parts] if parts else []


def _kind(fault: str) -> str:
    """What is wrong, without where and when."""
    what = re.sub(r" \((at once|when written back|exit codes? .*)\)", "", fault.rpartition(": ")[2])
    return re.sub(r"is \d+ bytes long, neither the old nor the new", "is cut off", what)
