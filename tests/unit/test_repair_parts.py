"""The small parts of the repair service: locks of others, systemd, the state file, the cheap look, the journal."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from guest_hooks import glance, news, pacing, plan, unchanged
from guest_hooks.config import Config
from guest_hooks.errors import LackingError
from guest_hooks.glance import Glance
from guest_hooks.machine import block_device_changes, fingerprint, holders, journal, lock, manager, service
from guest_hooks.machine.journal import KINDS, Outcome
from guest_hooks.machine.mount_changes import MountChanges
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.model import BootFilesystem, Guest, Mode, Status
from guest_hooks.plan import Wanted
from guest_hooks.status import Survey
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT

HOLD = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"


def test_dpkgs_lock_is_seen_from_another_process(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    path = tmp_path / "var/lib/dpkg/lock"
    root = Root(str(tmp_path))
    path.touch()
    assert holders.holder(root) == ""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert holders.holder(root).startswith("dpkg holds ")
        process.communicate()
    assert holders.holder(root) == ""


def test_our_own_lock_is_seen(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    with lock.held(root, timeout=0):
        assert lock.PATH in holders.holder(root)
    assert holders.holder(root) == ""


@pytest.mark.parametrize(
    ("line", "is_taken"),
    [
        pytest.param("1: POSIX  ADVISORY  WRITE 12 {device}:{inode} 0 EOF", True, id="posix"),
        pytest.param("1: FLOCK  ADVISORY  WRITE 12 {device}:{inode} 0 EOF", True, id="flock"),
        pytest.param("1: FLOCK  ADVISORY  WRITE 12 ff:ff:{inode} 0 EOF", False, id="other-device"),
        pytest.param("1: -> FLOCK  ADVISORY  WRITE 12 {device}:{inode} 0 EOF", False, id="waiter"),
        pytest.param("rubbish", False, id="rubbish"),
        pytest.param("", False, id="empty"),
    ],
)
def test_lines_of_proc_locks(line: str, is_taken: bool) -> None:
    status = os.stat_result((0o644, 4711, (0xFD << 8) | 0x03, 1, 0, 0, 0, 0, 0, 0))
    assert holders._is_taken(status, holders._taken(line.format(device="fd:03", inode=4711))) is is_taken


def test_on_btrfs_the_inode_alone_tells() -> None:
    status = os.stat_result((0o644, 4711, 0x2A, 1, 0, 0, 0, 0, 0, 0))
    assert holders._is_taken(status, holders._taken("1: POSIX  ADVISORY  WRITE 12 00:1b:4711 0 EOF"))


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
        pytest.param("Result=exit-code\nExecMainStatus=4", "could not be repaired", False, id="not-repaired"),
        pytest.param("Result=exit-code\nExecMainStatus=7", "something it needs is missing", False, id="lacking"),
        pytest.param("Result=exit-code\nExecMainStatus=6", "another run held the lock", True, id="locked"),
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
        pytest.param({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0, id="for-another-process"),
        pytest.param({"WATCHDOG_USEC": "soon"}, 0.0, id="rubbish"),
    ],
)
def test_the_interval_of_pings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], interval: float) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/none")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert manager.Manager().ping_interval == interval


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


def test_the_state_file_holds_what_was_written(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    file = service.StateFile(root)
    said = service.ServiceStatus(running=True, pid=os.getpid(), since="2026-01-31T12:00:00Z", troubles=("one", "x" * 999))
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
    file.write(service.ServiceStatus(running=True, pid=os.getpid(), look=long, repair=long, troubles=(long,) * 99))
    assert len(service.read(root).look) == service.MOST_WORDS
    file.write(service.ServiceStatus(running=True, pid=os.getpid(), look="short"))
    assert service.read(root).look == "short"
    file.close()


def test_the_status_line_is_one_line() -> None:
    line = service.line(service.ServiceStatus(phase="quiet", look_at="now", look="a\nREADY=1", troubles=("x" * 9999,)))
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


def test_without_a_fingerprint_only_a_change_since_the_last_repair_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    boot = BootFilesystem(mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="u", grub_dir="/boot/grub")
    guest = Guest(mode=Mode.PV, bits=64)
    wants = [Wanted(target=target, required=True) for target in TARGETS.values()]
    plans = tuple(plan.make(want, guest, Config(), boot, {}) for want in wants)
    found = Survey(config=Config(), plans=plans, status=Status(guest=guest, boot=boot, targets=(), grub_cfg=None))
    seen = {path for _, path in glance._SUBJECTS}
    subjects = unchanged._subjects(found, (boot.device, "/dev/xvda2", boot.device))
    assert [device for kind, device in subjects if kind == "uuid"] == ["/dev/xvda1", "/dev/xvda2"]
    asked = {path for _, path in subjects if path.startswith("/boot/")}
    assert {"/boot/grub/grub.cfg", "/boot/grub/menu.lst", "/boot/xen/pvboot-x86_64.elf"} < asked
    assert {path for path in asked if path not in seen and os.path.dirname(path) not in seen} == set()


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
def test_without_udev_block_devices_are_told_as_a_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(block_device_changes, "UDEV_CONTROL", str(tmp_path / "none"))
    with pytest.raises(LackingError, match="udev does not run"):
        block_device_changes.BlockDevices()


def test_without_a_journal_an_entry_is_a_line_on_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    journal.send(Outcome.REPAIRED, "it was missing", path="/boot/xen/x", hint="nothing")
    assert capsys.readouterr().err == "xen-guest-bootloader: it was missing (nothing)\n"


@pytest.mark.parametrize("tell", [pacing.Tell(news=each, cause="no space", differences=("/boot/xen/x",)) for each in pacing.News])
def test_every_news_has_words(
    tell: pacing.Tell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    news.tell(tell)
    said = capsys.readouterr().err
    assert "no space" in said or "/boot/xen/x" in said


def test_priorities_are_syslogs() -> None:
    assert {kind.priority for kind in KINDS.values()} <= {3, 4, 5, 6}


def test_it_holds_in_little_memory() -> None:
    """Imports are most of it; the whole process is measured by bench/service.py."""
    script = (
        "import guest_hooks.daemon, systemd.daemon, systemd.journal, pyudev;"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmRSS')).split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 28 * 1024
