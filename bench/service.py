# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service in a booted guest, beside a shell loop around inotifywait.

Measured are wakeups and memory with nothing happening, the time until a deleted second stage is
back, what 10,000 events cost, the time a stop takes. Each event of a block device of this machine
reaches the guest, and wakes the service as it should; so these are counted, and 0 of them is a fair
run. Each side runs alone, in the same guest, one after the other.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.guest import WORK
from bench.vigil import EVENTS, REPAIRS, Figures
from tests.support import debian_package, nspawn_boot
from tests.support.nspawn_guest import SECOND_STAGE, TARGET, Guest

WATCHED = (f"/boot/grub/{TARGET}", "/boot/xen")
EVENT_NAMES = "modify,attrib,close_write,move,create,delete,delete_self"
MONITOR = "udevadm monitor --udev --subsystem-match=block"
COMMAND = "/usr/bin/xen-guest-bootloader sync --quiet --automatic"


def both(idle: float) -> tuple[Figures, Figures]:
    """The service as installed, and the loop, each with its wakeups counted for `idle` seconds."""
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        work = Path(name)
        with nspawn_boot.booted(work / "guest", debian_package.build(work)) as guest:
            guest.at_rest()
            ours = service(guest, idle)
            with loop(guest) as shell:
                return ours, measured(
                    guest,
                    lambda: [shell, *children(shell)],
                    lambda: is_syncing(shell),
                    idle,
                    start_anew=lambda: None,
                )


def service(guest: Guest, idle: float) -> Figures:
    """The repair service as installed."""
    figures = measured(
        guest,
        lambda: [guest.pid("systemctl show -P MainPID xen-guest-bootloader")],
        lambda: guest.service()["phase"] != "quiet",
        idle,
        start_anew=lambda: guest.run("systemctl restart xen-guest-bootloader"),
    )
    begin = time.monotonic()
    guest.run("systemctl stop xen-guest-bootloader")
    return replace(figures, stop=time.monotonic() - begin)


@contextmanager
def loop(guest: Guest) -> Iterator[int]:
    """The same job by a shell loop around inotifywait; gives the shell's process."""
    root = f"/proc/{guest.leader}/root"
    watched = " ".join(f"'{root}{path}'" for path in WATCHED)
    enter = f"nsenter --target={guest.leader} --all --root --wdns=/ -- {COMMAND}"
    script = (
        f'while inotifywait -q -q -e {EVENT_NAMES} {watched}; do echo sync >> "$0"; {enter}; done'
    )
    count = guest.tree / "root/loop-syncs"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script, str(count)], start_new_session=True, stdin=subprocess.DEVNULL
    )
    time.sleep(1)
    try:
        yield shell.pid
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def measured(
    guest: Guest,
    pids: Callable[[], list[int]],
    is_busy: Callable[[], bool],
    idle: float,
    *,
    start_anew: Callable[[], object],
) -> Figures:
    """Everything but the stop."""
    settle(is_busy)
    guest.run(f"systemd-run --quiet --unit=block-events sh -c '{MONITOR} > /run/block-events'")
    before = switches(pids())
    time.sleep(idle)
    wakeups = switches(pids()) - before
    guest.run("systemctl stop block-events")
    events = guest.out("cat /run/block-events").count("UDEV ")
    rss, pss = memory(pids(), "Rss"), memory(pids(), "Pss")
    back = tuple(repaired_after(guest, is_busy) for _ in range(REPAIRS))
    settle(is_busy)
    start_anew()
    settle(is_busy)
    syncs, cpu = count_syncs(guest), processor(pids())
    guest.run(f"cd /boot/grub/{TARGET} && seq -f burst-%.0f {EVENTS} | xargs touch", timeout=300)
    settle(is_busy)
    syncs, cpu = count_syncs(guest) - syncs, processor(pids()) - cpu
    guest.run(f"cd /boot/grub/{TARGET} && seq -f burst-%.0f {EVENTS} | xargs rm", timeout=300)
    settle(is_busy)
    return Figures(
        wakeups=wakeups,
        block_events=events,
        rss=rss,
        pss=pss,
        back=back,
        syncs=syncs,
        burst_cpu=cpu,
    )


def repaired_after(guest: Guest, is_busy: Callable[[], bool]) -> float:
    """Seconds from the deletion of the second stage until it is there again, whole."""
    path = Path(f"/proc/{guest.leader}/root{SECOND_STAGE}")
    size = path.stat().st_size
    begin = time.monotonic()
    path.unlink()
    while time.monotonic() - begin < 60:
        try:
            if path.stat().st_size == size:
                break
        except FileNotFoundError:
            pass
        time.sleep(0.001)
    took = time.monotonic() - begin
    settle(is_busy)
    return took


def settle(is_busy: Callable[[], bool]) -> None:
    """Wait until nothing has been going on for two seconds."""
    since = time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.1)
        if is_busy():
            since = time.monotonic()


def count_syncs(guest: Guest) -> int:
    """How many runs there were, of either kind."""
    count = guest.tree / "root/loop-syncs"
    return guest.syncs() + (len(count.read_text().split()) if count.exists() else 0)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_syncing(shell: int) -> bool:
    """Whether the loop does anything but wait."""
    try:
        return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children(shell)] != [
            "inotifywait"
        ]
    except OSError:  # one has just ended
        return True


def switches(pids: list[int]) -> int:
    """How often the threads of some processes have been woken."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            total += sum(
                int(line.split()[1])
                for line in status.read_text().splitlines()
                if line.startswith("voluntary_ctxt")
            )
    return total


def memory(pids: list[int], what: str) -> float:
    """Rss or Pss of some processes, in MiB."""
    lines = [
        line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def processor(pids: list[int]) -> float:
    """User and system time of some processes themselves, in seconds."""
    ticks = sum(
        sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))
        for pid in pids
    )
    return ticks / os.sysconf("SC_CLK_TCK")
