# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's installation fails only if the guest would not boot: not for a broken
configuration, nor for what can't be told.
"""

from pathlib import Path

import pytest

from guest_hooks import hooks
from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, LackingError
from guest_hooks.hooks import kernel
from guest_hooks.machine.root import Root
from guest_hooks.model import FileStatus, Guest, Mode, Problem, State, Status, TargetStatus
from guest_hooks.preflight import next_boot
from guest_hooks.problems.table import TABLE
from guest_hooks.survey.status import Survey
from guest_hooks.sync.result import Result
from tests.support.scenes import BOOTS

KERNEL = ("kernel-postinst", "6.1.0-0-amd64", "/boot/vmlinuz-6.1.0-0-amd64")
TYPO = "target = [\n"
STILL_THERE = "xen-guest-bootloader: what was there before is still there"


@pytest.fixture
def guest(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PV guest as the running system, whose /boot can't be told: no file system is mounted on
    its tree.
    """
    monkeypatch.setattr(hooks, "Root", lambda: Root(str(tree)))
    return tree


def break_configuration(guest: Path) -> None:
    (guest / "etc/xen-guest-bootloader/config.toml").write_text(TYPO)


def found(*problems: Problem, state: State) -> Survey:
    files = (FileStatus(path="/boot/xen/pvboot-x86_64.elf", state=state),)
    target = TargetStatus(
        target="x86_64-xen", required=True, state=state, files=files, problems=problems
    )
    status = Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(target,), grub_cfg=None)
    return Survey(config=Config(), targets=(), status=status)


@pytest.mark.usefixtures("guest")
def test_what_can_t_be_told_fails_no_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert hooks.run(KERNEL) == ExitCode.OK
    words = capsys.readouterr().err
    assert "it is not known whether the guest can still boot: " in words
    assert "is not the top of a mounted file system" in words


def test_a_broken_configuration_fails_no_kernel(
    guest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_configuration(guest)
    assert hooks.run(KERNEL) == ExitCode.OK
    words = capsys.readouterr().err
    assert "/etc/xen-guest-bootloader/config.toml: not valid TOML" in words
    assert "-> correct or remove /etc/xen-guest-bootloader/config.toml" in words
    assert "it is not known whether the guest can still boot" in words


def test_a_broken_configuration_and_a_guest_that_boots(
    guest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_configuration(guest)
    monkeypatch.setattr(kernel, "survey", lambda _root, _config: found(state=State.STALE))
    monkeypatch.setattr(next_boot, "preflight", lambda *_arguments: BOOTS)
    assert hooks.run(KERNEL) == ExitCode.OK
    assert (
        f"{STILL_THERE}; next boot: will boot vmlinuz-6.1.0-56-amd64\n" in capsys.readouterr().err
    )


def test_preflight_s_verdict_decides_over_a_damaged_second_stage(
    guest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stage 1 refuses it and reads the menu."""
    break_configuration(guest)
    damaged = Problem(code=TABLE["truncated"], message="it is cut off")
    monkeypatch.setattr(
        kernel, "survey", lambda _root, _config: found(damaged, state=State.INVALID)
    )
    monkeypatch.setattr(next_boot, "preflight", lambda *_arguments: BOOTS)
    assert hooks.run(KERNEL) == ExitCode.OK
    assert "would not boot" not in capsys.readouterr().err


def test_a_hold_does_not_hide_that_the_guest_would_not_boot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = found(Problem(code=TABLE["uuid-mismatch"], message="x"), state=State.STALE).status
    held = Result(before=status, status=status, is_held=True, is_settled=True)
    monkeypatch.setattr(kernel, "synced", lambda _root, _hook: held)
    monkeypatch.setattr(kernel, "is_ours", lambda _root, _config: True)
    monkeypatch.setattr(
        kernel, "survey", lambda _root, _config: Survey(config=Config(), targets=(), status=status)
    )
    monkeypatch.setattr(kernel, "kernel_warning", lambda *_arguments: [])
    assert kernel.installed(Root(), KERNEL[1:]) == ExitCode.WOULD_NOT_BOOT
    assert "this guest would not boot: x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "state"),
    [
        pytest.param("truncated", State.INVALID, id="damaged"),
        pytest.param("uuid-mismatch", State.STALE, id="clone"),
    ],
)
def test_a_broken_configuration_and_a_guest_that_would_not_boot(
    guest: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    state: State,
) -> None:
    break_configuration(guest)
    monkeypatch.setattr(
        kernel,
        "survey",
        lambda _root, _config: found(
            Problem(code=TABLE[code], message="it is broken"), state=state
        ),
    )
    assert hooks.run(KERNEL) == ExitCode.WOULD_NOT_BOOT
    words = capsys.readouterr().err
    assert "not valid TOML" in words
    assert "this guest would not boot: it is broken" in words


def test_a_broken_configuration_elsewhere_is_all_that_is_told(
    guest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A chroot or a machine without a second stage is not judged: its /boot is not what
    anything boots from.
    """
    break_configuration(guest)
    (guest / "sys/hypervisor/type").unlink()
    (guest / "sys/hypervisor/guest_type").unlink()
    assert hooks.run(KERNEL) == ExitCode.OK
    assert (
        len(
            [
                line
                for line in capsys.readouterr().err.splitlines()
                if line.startswith("xen-guest-bootloader: ")
            ]
        )
        == 1
    )


@pytest.mark.usefixtures("guest")
def test_a_kernel_that_can_t_be_judged_fails_no_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> list[str]:
        raise LackingError("no such thing", hint="apt install it")

    monkeypatch.setattr(kernel, "kernel_warning", fail)
    assert hooks.run(KERNEL) == ExitCode.OK
    assert "no such thing" in capsys.readouterr().err
