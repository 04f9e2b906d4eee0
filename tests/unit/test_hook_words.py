"""What a package's hook says of a repair: every change, every warning, every failure."""

import pytest

from guest_hooks import hooks
from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, GuestHooksError, LackingError, NotRepairedError
from guest_hooks.hooks import repair
from guest_hooks.machine import fingerprint
from guest_hooks.model import Change, Guest, Mode, Problem, Severity, Status
from guest_hooks.sync import Result

WARNING = Problem(code="barrier-refused", message="it may not be seen", hint="shut down", severity=Severity.WARNING)
FAILURES = (NotRepairedError("the first broke", hint="mend the first"), LackingError("the second lacks", hint="give it"))


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A guest that is ours, whose sync is to be set."""
    monkeypatch.setattr(repair, "configuration", lambda _root: Config())
    monkeypatch.setattr(repair, "is_ours", lambda _root, _config: True)
    monkeypatch.setattr(fingerprint, "holds", lambda: False)
    return monkeypatch


def result(*problems: Problem, failures: tuple[GuestHooksError, ...] = ()) -> Result:
    found = Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=None, problems=problems)
    change = Change(path="/boot/xen/pvboot-x86_64.elf", before="", after="a", why=("missing",))
    return Result(before=found, status=found, changes=(change,), failures=failures)


def test_a_warning_is_said(guest: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    guest.setattr(repair, "sync", lambda *_arguments: result(WARNING))
    assert hooks.run(["trigger"]) == ExitCode.OK
    assert capsys.readouterr().err.splitlines() == [
        "xen-guest-bootloader: wrote /boot/xen/pvboot-x86_64.elf (missing)",
        "xen-guest-bootloader: warning: it may not be seen",
        "  -> shut down",
    ]


def test_of_several_failures_each_is_said(guest: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    guest.setattr(repair, "sync", lambda *_arguments: result(WARNING, failures=FAILURES))
    with pytest.raises(NotRepairedError, match="the first broke"):
        hooks.run(["trigger"])
    words = capsys.readouterr().err
    assert "warning: it may not be seen\n" in words
    assert "xen-guest-bootloader: error: the second lacks\n  -> give it\n" in words
