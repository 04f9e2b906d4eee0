# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a run opens the files that it compares."""

import re
import time
from collections import Counter
from pathlib import Path

from guest_hooks.machine.directory import SETTLED
from tests.support.outside_guest import OutsideGuest

TARGET = "x86_64-xen"
COMPARED = (f"/boot/grub/{TARGET}/", "/boot/xen/", "/usr/lib/grub/")
_OPEN = re.compile(r'openat\((?:AT_FDCWD<[^>]*>|\d+<([^>]*)>), "([^"]*)", ([A-Z_|]+).*\) = \d')


def opened(trace: Path, tree: OutsideGuest) -> Counter[str]:
    """How often each plain file of the tree was opened, by the guest's path."""
    found: Counter[str] = Counter()
    for directory, name, flags in _OPEN.findall(trace.read_text()):
        path = f"{directory}/{name}" if directory else name
        if "O_DIRECTORY" not in flags and path.startswith(f"{tree.top}/"):
            found[path.removeprefix(str(tree.top))] += 1
    return found


def test_a_file_is_opened_once_to_compare_it(tree: OutsideGuest, tmp_path: Path) -> None:
    """What is put back is read again, to verify it; nothing else is."""
    missing = tree.boot_xen("pvboot-x86_64.elf")
    missing.unlink()
    time.sleep(SETTLED)
    trace = tmp_path / "trace"
    command = ("strace", "-f", "-y", "-e", "trace=openat", "-o", str(trace))
    tree.run("sync", f"--target={TARGET}", "--no-update-grub", prefix=command)
    assert missing.exists()
    compared = {
        path: times
        for path, times in opened(trace, tree).items()
        if path.startswith(COMPARED) and path.endswith((".mod", ".elf"))
    }
    assert f"/usr/lib/grub/{TARGET}/linux.mod" in compared
    often = {path: times for path, times in compared.items() if times > 1}
    assert set(often) <= {"/boot/xen/pvboot-x86_64.elf"}


def test_what_stays_as_it_is_is_opened_once_by_a_run_that_builds_too(
    tree: OutsideGuest, tmp_path: Path
) -> None:
    time.sleep(SETTLED)
    trace = tmp_path / "trace"
    command = ("strace", "-f", "-y", "-e", "trace=openat", "-o", str(trace))
    tree.run("sync", "--force", f"--target={TARGET}", "--no-update-grub", prefix=command)
    files = {path for path in opened(trace, tree) if path.startswith("/boot/xen/")}
    assert files == {"/boot/xen/pvboot-x86_64.elf"}
    assert {opened(trace, tree)[path] for path in files} == {1}
