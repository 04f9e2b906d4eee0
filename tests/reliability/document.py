"""docs/reliability.md: the table, how each row comes about, and what was broken."""

import platform
import subprocess
from collections import Counter
from collections.abc import Sequence

from tests.reliability.table import Row, markdown

_TEXT = """# Reliability, measured

Written by `make reliability`; the same sweeps, shorter, run in `make test`. "Broken" means: what GRUB's own drivers read on
a raw copy
of the disk is neither the whole old nor the whole new second stage, or it lacks the modules it needs, or the run that
follows does not
end at `current`, or the error does not say what it should. `grub-install` is Debian's, run for the same target in the same
places; it
is asked only for the first of these.

{table}
{machine}

## How

- *Killed*: strace counts the system calls by which a run changes the file system, and a run is killed before each of those chosen
  (all that occur once or a few times, the rest spread evenly). GRUB's view is taken at once, and again when all is written
  back. Then
  the file system must be writable within a second, and the next sync must end at `current` with nothing left over.
- *A system call fails*: the same calls, each with each error. Exit code 0 is right only if all is as it should be; else 4
  or 7, with
  the path, the cause, and for want of space what it needs and has.
- *Filled*: the commit of an upgrade at every KiB of free space from none to beyond what it asks for; and whole runs.
- *Power cut*: the disk is a file that logs each write and flush it is given. After every write (evenly chosen where there are many)
  three disks are looked at: all writes so far; of those since the last flush only this one; all but one. At the end: what
  was flushed
  when the run returned must be all of the new.
- *Two runs at once*: GRUB 2.06 and 2.12 modules installed for one each, started together; what is left is all of one of them.
- *Fuzzed*: atheris, guided by coverage, from real files as seeds. No exception but the documented one; time and memory
  within bounds
  that grow with the input's size.
{broken}"""


def document(rows: Sequence[Row]) -> str:
    """The whole page."""
    return _TEXT.format(table=markdown(rows), machine=_machine(rows), broken=_broken(rows))


def _machine(rows: Sequence[Row]) -> str:
    grub = subprocess.run(["grub-install", "--version"], capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    seconds = sum(row.seconds for row in rows)
    return f"Linux {platform.release()}, {grub}, GRUB modules of bookworm and trixie; {seconds / 60:.0f} minutes of sweeps."


def _broken(rows: Sequence[Row]) -> str:
    parts = []
    for row in rows:
        if row.faults:
            parts.append(f"\n### Ours: {row.test}\n\n" + "".join(f"- {_line(fault)}\n" for fault in row.faults))
        if row.plain_faults:
            kinds = Counter(fault.rpartition(": ")[2] for fault in row.plain_faults)
            parts.append(
                f"\n### `grub-install`: {row.test}\n\n" + "".join(f"- {count}: {kind}\n" for kind, count in kinds.most_common(6))
            )
    return "\n## What was broken\n" + "".join(parts) if parts else ""


def _line(text: str) -> str:
    return " ".join(text.split())[:400]
