# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running guest is told while a sync goes on and after it: warnings, and steps on a
terminal.
"""

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from guest_hooks.machine import journal
from tests.support import report_schema
from tests.support.chroot_guest import ChrootGuest
from tests.support.command_line import on_terminal
from tests.support.outside_guest import Outcome, verb

CFG = "/boot/grub/grub.cfg"
FILE = "/boot/xen/pvboot-x86_64.elf"


def test_an_optional_target_that_can_t_be_made_is_told(settled: ChrootGuest) -> None:
    library, hidden = settled.path("/usr/lib/grub/i386-xen_pvh"), settled.path("/root/i386-xen_pvh")
    library.rename(hidden)
    for file in settled.path("/boot/xen").glob("pvhboot-*"):
        file.unlink()
    settled.write("/etc/xen-guest-bootloader/config.toml", 'targets = ["auto", "i386-xen_pvh"]\n')
    try:
        for words in (("sync",), ("sync", "--quiet", "--automatic"), ("hook", "trigger")):
            done = verb(settled, *words)
            assert done.stdout == ""
            assert (
                "xen-guest-bootloader: warning: i386-xen_pvh, which is optional, is missing\n"
                in done.stderr
            )
            assert "  -> apt install grub-xen-bin\n" in done.stderr
        assert "error" not in done.stderr
    finally:
        hidden.rename(library)
        shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))


def unsure(guest: ChrootGuest, *words: str) -> Outcome:
    """Run the program in the guest as on a file system for which nothing is known that makes
    GRUB see what was written.
    """
    script = (
        "import sys; from guest_hooks import cli; from guest_hooks.machine import settling; from"
        " guest_hooks.model import *; settling.barrier = lambda root, where:"
        " Problem(code='barrier-unknown', message=where, severity=Severity.WARNING);"
        f" sys.exit(cli.main({list(words)!r}))"
    )
    done = guest.run("python3", "-c", script)
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_a_menu_that_grub_may_not_see_yet_is_told(settled: ChrootGuest) -> None:
    settled.path(CFG).unlink()
    done = unsure(settled, "sync")
    assert done.stdout == f"Rebuilt {CFG}: it was missing.\n"
    assert done.stderr == "xen-guest-bootloader: warning: /boot/grub\n"
    settled.path(CFG).unlink()
    problems = unsure(settled, "sync", "--json").json["problems"]
    assert [problem["code"] for problem in problems] == ["barrier-unknown"]


def test_a_rollback_that_grub_may_not_see_yet_is_told(settled: ChrootGuest) -> None:
    settled.write("/etc/xen-guest-bootloader/config.toml", 'extra_modules = ["hexdump"]\n')
    verb(settled, "sync")
    done = unsure(settled, "rollback")
    first, second = done.stdout.splitlines()
    assert first.startswith(f"Put back {FILE}: GRUB 2.")
    assert second.endswith("take the newest again with: xen-guest-bootloader sync")
    assert done.stderr == "xen-guest-bootloader: warning: /boot/xen\n"
    held = verb(settled, "hook", "trigger")
    assert f"xen-guest-bootloader: warning: {FILE} was put back by rollback" in held.stderr
    shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))
    verb(settled, "sync")


def test_progress_is_for_a_terminal(settled: ChrootGuest) -> None:
    settled.path(FILE).unlink()
    tool, real = settled.path("/usr/sbin/grub-install"), settled.path("/usr/sbin/grub-install.real")
    tool.rename(real)
    settled.write(
        "/usr/sbin/grub-install",
        '#!/bin/sh\nsleep 1.5\nexec /usr/sbin/grub-install.real "$@"\n',
        mode=0o755,
    )
    code, shown = on_terminal(settled.command("python3", "-m", "guest_hooks", "sync", "--force"))
    assert code == 0
    real.rename(tool)
    times = re.findall(r"Building the second stage for x86_64-xen … (\d+\.\d) s", shown)
    assert len(set(times)) > 2
    assert max(map(float, times)) > 1
    last = shown.rstrip("\r\n").splitlines()[-1]
    assert last.rpartition("\033[K")[2].startswith("Rebuilt ")
    settled.path(FILE).unlink()
    piped = verb(settled, "sync", "--force")
    assert piped.stdout == f"Rebuilt {FILE}: it was missing.\n"
    assert piped.stderr == ""


def test_progress_does_not_mix_with_json(settled: ChrootGuest) -> None:
    done: Outcome = verb(settled, "sync", "--json", "--force")
    assert report_schema.complaints(done.json, "sync") == []
    assert done.stderr == ""


@contextmanager
def listening(guest: ChrootGuest) -> Iterator[socket.socket]:
    """The socket of a journald in the guest, for a test to read."""
    path = guest.path(journal.SOCKET)
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(path))
        there.setblocking(False)
        try:
            yield there
        finally:
            path.unlink()


def heard(there: socket.socket) -> list[str]:
    entries = []
    with suppress(BlockingIOError):
        while True:
            entries.append(there.recv(1 << 16).decode(errors="replace"))
    return entries


def test_a_second_stage_that_is_kept_is_told_to_the_journal_once(settled: ChrootGuest) -> None:
    module = settled.path("/usr/lib/grub/x86_64-xen/ext2.mod")
    whole, before = module.read_bytes(), settled.read(FILE)
    middle = len(whole) // 2
    module.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    try:
        with listening(settled) as there:
            verb(settled, "sync", "--quiet", "--automatic", code=4)
            (entry,) = heard(there)
            verb(settled, "sync", "--quiet", "--automatic", code=4)
            assert heard(there) == []
    finally:
        module.write_bytes(whole)
        verb(settled, "sync")
    assert settled.read(FILE) == before
    for field in (
        f"MESSAGE_ID\n{journal.KINDS[journal.Outcome.NOT_REPAIRED].message_id}",
        f"BOOTLOADER_PATH\n{FILE}",
        "BOOTLOADER_TARGET\nx86_64-xen",
        "BOOTLOADER_STATE_AFTER\nstale",
    ):
        name, value = field.split("\n")
        assert re.search(rf"(?m)^{name}\n.{{8}}{value}$", entry, re.DOTALL), field
    assert f"{FILE} was kept" in entry
    assert "apt install --reinstall grub-xen-bin" in entry
