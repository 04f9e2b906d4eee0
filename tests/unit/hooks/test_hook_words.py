# SPDX-License-Identifier: GPL-3.0-or-later
"""What a package's hook says of a repair: every change, every warning, every failure."""

import io
import re
import time
from dataclasses import replace

import pytest

from guest_hooks import hooks
from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, GuestHooksError, LackingError, NotRepairedError
from guest_hooks.hooks import kernel, repair
from guest_hooks.machine import fingerprint
from guest_hooks.model import Change, Guest, Mode, Problem, Severity, Status
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.sync.result import Result

WARNING = Problem(
    code=RunProblem.BARRIER_REFUSED,
    message="it may not be seen",
    hint="shut down",
    severity=Severity.WARNING,
)
FAILURES = (
    NotRepairedError("the first broke", hint="mend the first"),
    LackingError("the second lacks", hint="give it"),
)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A guest that is ours, whose sync is to be set."""
    monkeypatch.setattr(repair, "configuration", lambda _root: Config())
    monkeypatch.setattr(repair, "is_ours", lambda _root, _config: True)
    monkeypatch.setattr(fingerprint, "holds", lambda: False)
    return monkeypatch


def result(*problems: Problem, failures: tuple[GuestHooksError, ...] = ()) -> Result:
    found = Status(
        guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=None, problems=problems
    )
    change = Change(
        path="/boot/xen/pvboot-x86_64.elf", before="", after="a", why=(SecondStageProblem.MISSING,)
    )
    return Result(before=found, status=found, changes=(change,), failures=failures)


def test_a_warning_is_said(guest: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    guest.setattr(repair, "sync", lambda *_arguments, **_options: result(WARNING))
    assert hooks.run(["trigger"]) == ExitCode.OK
    assert capsys.readouterr().err.splitlines() == [
        "xen-guest-bootloader: Rebuilt /boot/xen/pvboot-x86_64.elf: it was missing.",
        "xen-guest-bootloader: warning: it may not be seen",
        "  -> shut down",
    ]


def test_of_several_failures_each_is_said(
    guest: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.setattr(
        repair, "sync", lambda *_arguments, **_options: result(WARNING, failures=FAILURES)
    )
    with pytest.raises(NotRepairedError, match="the first broke"):
        hooks.run(["trigger"])
    words = capsys.readouterr().err
    assert "warning: it may not be seen\n" in words
    assert "xen-guest-bootloader: error: the second lacks\n  -> give it\n" in words


def test_the_wait_for_a_slow_file_system_is_shown_on_a_terminal(guest: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    guest.setattr("sys.stderr", screen)
    guest.setattr(repair, "sync", lambda *_arguments, **_options: result())
    guest.setattr(kernel, "configuration", lambda _root: Config())
    guest.setattr(kernel, "is_ours", lambda _root, _config: True)
    guest.setattr(kernel, "barrier", lambda _root, _path: time.sleep(0.5))
    hooks.run(["kernel-postrm", "6.1.0-0-amd64", "/boot/vmlinuz-6.1.0-0-amd64"])
    assert re.search(r"Waiting until GRUB reads the new menu … 0\.\d s", screen.getvalue())


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_the_sync_has_waited_for_is_not_waited_for_again(
    guest: pytest.MonkeyPatch, is_settled: bool
) -> None:
    waits: list[str] = []
    done = replace(result(), is_settled=is_settled)
    guest.setattr(repair, "sync", lambda *_arguments, **_options: done)
    guest.setattr(kernel, "configuration", lambda _root: Config())
    guest.setattr(kernel, "is_ours", lambda _root, _config: True)
    guest.setattr(kernel, "barrier", lambda _root, path: waits.append(path))
    hooks.run(["kernel-postrm", "6.1.0-0-amd64", "/boot/vmlinuz-6.1.0-0-amd64"])
    assert waits == ([] if is_settled else ["/boot/grub/grub.cfg"])
