# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian guest with a booted systemd and a udev of its own, and what a test asks of it."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.debian_package import host
from tests.support.waiting import until

TARGET = "x86_64-xen"
SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
ORDER_SECONDS = 120
DISK = "/dev/xvdb"
ROOT_DISK = "/dev/xvda"
SETTING = "/proc/sys/kernel/domainname"
"""The one kernel setting that the guest can change: it has its own."""


class Guest:
    """The running guest; `tree` is its root as the machine sees it."""

    def __init__(self, tree: Path, disk: Path, nspawn: subprocess.Popen[bytes], log: Path) -> None:
        self.tree = tree
        self.disk = disk
        self._nspawn = nspawn
        self._log = log
        self.leader = 0

    def ready(self) -> None:
        """Wait until systemd has started all it starts by itself."""
        until(self._find_leader)
        self.until("systemctl is-system-running | grep -E 'running|degraded'")

    def _find_leader(self) -> bool:
        assert self._nspawn.poll() is None, self._log.read_text(errors="replace")[-4000:]
        children = (
            Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        )
        self.leader = int(children[0]) if children else 0
        return self.leader > 0 and Path(f"/proc/{self.leader}/root/run/systemd/private").exists()

    def run(
        self, script: str, *, check: bool = True, timeout: float = ORDER_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the guest as root; AssertionError with what it said where
        `check` fails.
        """
        done = subprocess.run(
            [
                "nsenter",
                f"--target={self.leader}",
                "--all",
                "--root",
                "--wdns=/",
                "--",
                "/bin/bash",
                "-c",
                script,
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
            env={
                "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
            },
        )
        assert done.returncode == 0 or not check, (
            f"{script}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def out(self, script: str) -> str:
        """What a script prints."""
        return self.run(script).stdout.strip()

    def until(self, script: str, *, patience: float = ORDER_SECONDS) -> None:
        """Wait until `script` succeeds."""
        try:
            until(
                lambda: self.run(script, check=False).returncode == 0, patience=patience, pause=0.1
            )
        except AssertionError as error:
            told = self.run(
                "journalctl -b --no-pager -o short-monotonic -n 80; systemctl status --no-pager"
                " 'xen-guest-*'",
                check=False,
            )
            raise AssertionError(
                f"never came true: {script}\n{told.stdout[-8000:]}{told.stderr}"
            ) from error

    def at_rest(self) -> None:
        """Wait until the watcher has nothing to do and no repair runs."""
        self.until(
            'grep -q \'"phase": "quiet".*"as it was left"\''
            ' /run/xen-guest-bootloader/watch/state.json && sleep 0.7 && grep -q \'"phase":'
            ' "quiet".*"as it was left"\' /run/xen-guest-bootloader/watch/state.json'
        )

    def resident_mib(self) -> float:
        """How much memory the watcher holds."""
        return (
            int(
                self.out(
                    "grep VmRSS /proc/$(systemctl show -P MainPID xen-guest-bootloader)/status"
                ).split()[1]
            )
            / 1024
        )

    def pid(self, script: str) -> int:
        """The process whose number in the guest a script prints, as the machine numbers it."""
        wanted = self.out(script)
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(
                    line for line in status.read_text().splitlines() if line.startswith("NSpid:")
                ).split()[1:]
            except (OSError, StopIteration):
                continue
            if len(numbers) > 1 and numbers[-1] == wanted and self._is_inside(int(numbers[0])):
                return int(numbers[0])
        raise AssertionError(f"no process {wanted} in the guest")

    def _is_inside(self, pid: int) -> bool:
        mine, other = (os.readlink(f"/proc/{each}/ns/pid") for each in (self.leader, pid))
        return mine == other

    def service(self) -> dict[str, Any]:
        """What the watcher says of itself."""
        table: dict[str, Any] = json.loads(
            self.out("cat /run/xen-guest-bootloader/watch/state.json")
        )
        return table

    def syncs(self) -> int:
        """How many repairs have run since the guest booted."""
        self.run("journalctl --sync")
        return int(
            self.out(
                "journalctl -b -u xen-guest-bootloader-sync -o cat | grep -c '^Finished' || true"
            )
        )

    def digest(self) -> str:
        """The sha256 of the second stage."""
        return self.out(f"sha256sum {SECOND_STAGE}").split()[0]

    def repacked(self, package: str, work: Path, *, change: str, old: bytes, new: bytes) -> str:
        """A later version of an installed package, with other bytes in one file; the path of
        its .deb in the guest.
        """
        top = work / package
        for name in (self.tree / f"var/lib/dpkg/info/{package}.list").read_text().split():
            source, target = self.tree / name.lstrip("/"), top / name.lstrip("/")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target, follow_symlinks=False)
        data = (top / change).read_bytes()
        assert old in data
        (top / change).write_bytes(data.replace(old, new))
        facts = self.out(
            "dpkg-query --show --showformat='Version: ${Version}.1\nArchitecture:"
            f" ${{Architecture}}\n' {package}"
        )
        write(
            top / "DEBIAN/control",
            f"Package: {package}\n{facts}\nMaintainer: nobody <nobody@localhost>\nDescription:"
            " later\n",
        )
        host(
            "dpkg-deb",
            "-Znone",
            "--root-owner-group",
            "--build",
            str(top),
            str(self.tree / "root/later.deb"),
        )
        return "/root/later.deb"

    @contextmanager
    def slow_grub_install(self) -> Iterator[None]:
        """For the block, grub-install waits when it is started; at the end of the block it goes
        on.
        """
        real, waits = "/usr/sbin/grub-install.distrib", "/run/grub-install-waits"
        script = (
            f'#!/bin/sh\n: > {waits}\nwhile [ -e {waits} ]; do sleep 0.1; done\nexec {real} "$@"\n'
        )
        self.run(f"mv {real} {real}.kept")
        write(self.tree / real.lstrip("/"), script)
        self.run(f"chmod 755 {real}")
        try:
            yield
        finally:
            # Before it goes on: a package that is removed meanwhile takes what stands there.
            self.run(f"mv {real}.kept {real} && rm -f {waits}")

    @contextmanager
    def refused(self, pid: int, calls: str, error: str) -> Iterator[None]:
        """For the block, some system calls of one process of the guest, by its number here,
        fail with `error`.
        """
        log = self.tree.parent / f"refused-{pid}"
        command = [
            "strace",
            "-f",
            "-q",
            "-o",
            str(log),
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:error={error}",
            "-p",
            str(pid),
        ]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
            try:
                until(lambda: _tracer(pid) == strace.pid)
                yield
            finally:
                strace.terminate()

    def stop(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            if self.leader:
                os.kill(self.leader, signal.SIGKILL)
            else:
                self._nspawn.terminate()
        self._nspawn.wait(timeout=60)


def _tracer(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("TracerPid:")))


def write(path: Path, text: str) -> None:
    """Write a file of the guest's tree, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
