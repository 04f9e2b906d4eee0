# SPDX-License-Identifier: GPL-3.0-or-later
"""The small parts of the repair service: locks of others, systemd, the state file, the cheap
look, the journal.
"""

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from guest_hooks.config import Config
from guest_hooks.daemon import events, glance, news
from guest_hooks.daemon.glance import Glance
from guest_hooks.errors import LackingError
from guest_hooks.machine import block_device_changes, fingerprint, journal, manager, mounts, service
from guest_hooks.machine.journal import KINDS
from guest_hooks.machine.mount_changes import MountChanges
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.model import BootFilesystem, Guest, Mode, Status
from guest_hooks.survey import plan
from guest_hooks.survey.plan import Wanted
from guest_hooks.survey.status import Survey
from guest_hooks.sync import unchanged
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT
from tests.support.surveyed import surveyed


class Systemctl:
    """`systemctl` that starts nothing: fails where `shown` says how the unit ended."""

    def __init__(self, shown: str = "") -> None:
        self.shown = shown
        self.commands: list[Sequence[str]] = []

    def __call__(
        self,
        command: Sequence[str],
        *,
        name: str = "",  # noqa: ARG002
        timeout: float = 0,  # noqa: ARG002
        stdin: bytes = b"",  # noqa: ARG002
        env: Mapping[str, str] | None = None,  # noqa: ARG002
        success_codes: Sequence[int] = (0,),  # noqa: ARG002
    ) -> Completed:
        self.commands.append(command)
        if command[1] == "start" and self.shown:
            raise CommandError("systemctl start failed with exit code 1: Job failed.")
        return Completed(code=0, stdout=self.shown.encode(), stderr=b"")


def test_a_repair_by_its_unit() -> None:
    systemctl = Systemctl()
    assert manager.repair_by_unit(run=systemctl) == manager.Repaired()
    assert systemctl.commands == [["systemctl", "start", service.SYNC]]


@pytest.mark.parametrize(
    ("shown", "error", "is_locked"),
    [
        pytest.param(
            "Result=exit-code\nExecMainStatus=4", "could not be repaired", False, id="not-repaired"
        ),
        pytest.param(
            "Result=exit-code\nExecMainStatus=7",
            "something it needs is missing",
            False,
            id="lacking",
        ),
        pytest.param(
            "Result=exit-code\nExecMainStatus=6",
            "another run, or the package manager",
            True,
            id="locked",
        ),
        pytest.param("Result=exit-code\nExecMainStatus=99", "exit code 99", False, id="unknown"),
        pytest.param("Result=timeout\nExecMainStatus=0", "timeout", False, id="timeout"),
        pytest.param("nothing", "unknown", False, id="nothing-known"),
    ],
)
def test_why_a_repair_failed(shown: str, error: str, is_locked: bool) -> None:
    repaired = manager.repair_by_unit(run=Systemctl(shown))
    assert error in repaired.error
    assert repaired.is_locked is is_locked


@pytest.mark.parametrize(
    ("script", "error", "is_locked"),
    [
        pytest.param("exit 0", "", False, id="done"),
        pytest.param("echo no space >&2; exit 4", "no space", False, id="failed"),
        pytest.param("echo held >&2; exit 6", "held", True, id="locked"),
    ],
)
def test_a_repair_by_a_command(script: str, error: str, is_locked: bool) -> None:
    repaired = manager.repair_by_command(["sh", "-c", script])
    assert error in repaired.error
    assert bool(repaired.error) is bool(error)
    assert repaired.is_locked is is_locked


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        pytest.param({}, 0.0, id="none"),
        pytest.param({"WATCHDOG_USEC": "3000000"}, 1.5, id="half"),
        pytest.param(
            {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0, id="for-another-process"
        ),
        pytest.param({"WATCHDOG_USEC": "soon"}, 0.0, id="rubbish"),
    ],
)
def test_the_interval_of_pings(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], interval: float
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/none")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert manager.Manager(unit=service.WATCHER).ping_interval == interval


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="half"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"running": 1}', id="wrong-type"),
        pytest.param(json.dumps({"running": True}).encode(), id="keys-missing"),
    ],
)
def test_a_damaged_state_file_says_nothing(tmp_path: Path, data: bytes) -> None:
    path = Path(f"{tmp_path}{service.FILE}")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert service.read(Root(str(tmp_path))) == service.ServiceStatus()


def test_who_may_read_the_state_file_can_keep_no_watcher_out(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    service.StateFile(root).close()
    with open(root.outside(service.FILE), "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        fcntl.lockf(other, fcntl.LOCK_SH)
        service.StateFile(root).close()
    assert {
        each.name: each.stat().st_mode & 0o777
        for each in (tmp_path / service.RUN_DIR[1:]).iterdir()
    } == {
        "state.json": 0o644,
        "lock": 0o600,
    }


def test_a_process_that_took_over_the_pid_is_not_the_watcher(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    with subprocess.Popen(["sleep", "60"]) as other:
        file.write(service.ServiceStatus(running=True, pid=other.pid))
        assert "ended without a word" in service.read(root).troubles[0]
        other.kill()
    file.close()


def test_the_state_file_holds_what_was_written(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    said = service.ServiceStatus(
        running=True, pid=os.getpid(), since="2026-01-31T12:00:00Z", troubles=("one", "x" * 999)
    )
    file.write(said)
    read = service.read(root)
    assert read.since == said.since
    assert read.troubles == ("one", "x" * service.MOST_WORDS)
    file.close()
    assert service.read(root) == service.ServiceStatus()


def test_a_long_word_leaves_no_tail_behind(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    long = "\u20ac" * 9999
    file.write(
        service.ServiceStatus(
            running=True, pid=os.getpid(), look=long, repair=long, troubles=(long,) * 99
        )
    )
    assert len(service.read(root).look) == service.MOST_WORDS
    file.write(service.ServiceStatus(running=True, pid=os.getpid(), look="short"))
    assert service.read(root).look == "short"
    file.close()


def test_the_status_line_is_one_line() -> None:
    line = service.line(
        service.ServiceStatus(
            phase="quiet", look_at="now", look="a\nREADY=1", troubles=("x" * 9999,)
        )
    )
    assert "\n" not in line
    assert len(line) <= service.MOST_LINE


def test_the_cheap_look_asks_the_fingerprint_where_there_is_one(tmp_path: Path) -> None:
    watched, path = tmp_path / "second-stage", tmp_path / "fingerprint"
    watched.write_text("core")
    path.write_text(fingerprint.take([("stat", str(watched)), ("dir", str(tmp_path / "absent"))]))
    look = Glance(str(path))
    assert look.differences() == ()
    watched.write_text("CORE!")
    assert look.differences() == (str(watched),)


def test_a_boot_that_nobody_has_asked_for_is_not_mounted_by_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "22 1 8:1 / / rw - ext4 /dev/xvda rw\n", "29 22 0:40 / /boot rw - autofs systemd-1 rw\n"
    look = Glance(str(tmp_path / "no-fingerprint"))
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse(lines[0]))
    assert look.differences() != ()
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse("".join(lines)))
    assert look.differences() == ()


def test_without_a_fingerprint_only_a_change_since_the_last_repair_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, path = tmp_path / "second-stage", tmp_path / "fingerprint"
    monkeypatch.setattr(glance, "_SUBJECTS", (("stat", str(watched)),))
    look = Glance(str(path))
    assert look.differences() == (str(path),)
    look.remember(is_repaired=True)
    assert look.differences() == ()
    watched.write_text("core")
    assert look.differences() == (str(watched),)
    look.remember(is_repaired=False)
    assert look.differences() == (str(path),)


def test_the_two_cheap_looks_see_the_same_files_of_boot() -> None:
    boot = BootFilesystem(
        mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="u", grub_dir="/boot/grub"
    )
    guest = Guest(mode=Mode.PV, bits=64)
    wants = [Wanted(target=target, required=True) for target in TARGETS.values()]
    plans = tuple(plan.make(want, guest, Config(), boot, {}) for want in wants)
    found = Survey(
        config=Config(),
        targets=tuple(map(surveyed, plans)),
        status=Status(guest=guest, boot=boot, targets=(), grub_cfg=None),
    )
    seen = {path for _, path in glance._SUBJECTS}
    subjects = unchanged._subjects(
        found, (boot.device, "/dev/xvda2", boot.device), ["/boot/grub/grub.cfg"]
    )
    assert [device for kind, device in subjects if kind == "uuid"] == ["/dev/xvda1", "/dev/xvda2"]
    asked = {path for _, path in subjects if path.startswith("/boot/")}
    assert {"/boot/grub/grub.cfg", "/boot/grub/menu.lst", "/boot/xen/pvboot-x86_64.elf"} < asked
    assert {
        path for path in asked if path not in seen and os.path.dirname(path) not in seen
    } == set()


def test_mounts_that_do_not_concern_the_paths_are_no_change() -> None:
    changes = MountChanges(Root(), ["/boot", "/usr/lib/grub"])
    try:
        assert not changes.changed()
        mount = changes.mount_of("/boot")
        assert mount is not None
        assert os.path.realpath("/boot").startswith(mount.mountpoint)
    finally:
        changes.close()


@pytest.mark.filterwarnings("error")
def test_without_udev_block_devices_are_told_as_a_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(block_device_changes, "UDEV_CONTROL", str(tmp_path / "none"))
    with pytest.raises(LackingError, match="udev does not run"):
        block_device_changes.BlockDevices()


class Flood:
    """A monitor of udev's that always has one more, or has dropped some."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.polls = 0

    def poll(self, timeout: float) -> object:
        assert timeout == 0
        self.polls += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return object()


def test_a_flood_of_block_devices_is_taken_in_parts() -> None:
    devices = block_device_changes.BlockDevices.__new__(block_device_changes.BlockDevices)
    devices._monitor = flood = Flood()
    assert devices.changed()
    assert flood.polls == block_device_changes.MOST_EVENTS


def test_more_block_devices_than_the_kernel_keeps_are_a_change() -> None:
    devices = block_device_changes.BlockDevices.__new__(block_device_changes.BlockDevices)
    devices._monitor = Flood(errno.ENOBUFS)
    assert devices.changed()


@pytest.mark.parametrize(
    "tell",
    [
        events.Tell(news=each, cause="no space", differences=("/boot/xen/x",))
        for each in events.News
    ],
)
def test_every_news_has_words(
    tell: events.Tell,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    news.tell(tell)
    said = capfd.readouterr().err
    assert "no space" in said or "/boot/xen/x" in said


def test_priorities_are_syslogs() -> None:
    assert {kind.priority for kind in KINDS.values()} <= {3, 4, 5, 6}


def test_it_holds_in_little_memory() -> None:
    """Imports are most of it; the whole process is measured by bench/service.py."""
    script = (
        "import guest_hooks.daemon.watcher, pyudev;"
        "lines = open('/proc/self/status');"
        "print(next(line for line in lines if line.startswith('VmRSS')).split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) < 28 * 1024
