# SPDX-License-Identifier: GPL-3.0-or-later
"""What the grub-install hook answers its wrapper, however far it came."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, LackingError, LockedError, NotRepairedError, UsageError
from guest_hooks.hooks import grub_install
from guest_hooks.machine import installer
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.model import Choices, Guest, Mode, Status
from guest_hooks.sync.result import Request, Result
from guest_hooks.targets import TARGETS
from tests.support.second_stages import core_image

KEY = b"\x99" * 625
TARGET = TARGETS["x86_64-xen"]


@pytest.fixture
def answers(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A PV guest whose staging and sync end well; what the wrapper was answered."""
    (tree / "usr/lib/grub/x86_64-xen").mkdir(parents=True)
    (tree / "usr/lib/grub/x86_64-xen/moddep.lst").touch()
    status = Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=None)
    monkeypatch.setattr(grub_install, "configuration", lambda _root: Config())
    monkeypatch.setattr(grub_install, "own_targets", lambda *_arguments: [TARGET])
    monkeypatch.setattr(installer, "staged", staged)
    monkeypatch.setattr(
        grub_install, "sync", lambda *_arguments, **_options: Result(before=status, status=status)
    )
    reader, writer = os.pipe()
    monkeypatch.setenv(grub_install.ANSWER, str(writer))
    os.set_blocking(reader, False)

    def read() -> str:
        try:
            return os.read(reader, 1000).decode()
        except BlockingIOError:
            return ""

    yield read
    os.close(reader)
    os.close(writer)


def staged(*_arguments: object) -> AbstractContextManager[installer.Staged]:
    """As if grub-install had made a second stage with a key in it."""
    core = core_image("x86_64-xen", keys=(KEY,))
    said = Completed(code=0, stdout=b"", stderr=b"")
    return nullcontext(installer.Staged(core=core, top=Root(), completed=said))


def raiser(error: BaseException) -> Callable[..., object]:
    def fail(*_arguments: object, **_options: object) -> object:
        raise error

    return fail


def test_done(answers: Callable[[], str], tree: Path) -> None:
    assert grub_install.run(Root(str(tree)), []) == ExitCode.OK
    assert answers() == "done 0\n"


@pytest.mark.parametrize(
    ("function", "error", "answer"),
    [
        pytest.param(
            "configuration", UsageError("a typo"), "pass --target=x86_64-xen\n", id="configuration"
        ),
        pytest.param(
            "staged",
            LackingError("no mount namespace"),
            "pass --target=x86_64-xen\n",
            id="staging-lacks-something",
        ),
        pytest.param("staged", LockedError("held"), "done 6\n", id="locked"),
        pytest.param("staged", NotRepairedError("it hung"), "done 4\n", id="staging-failed"),
        pytest.param("staged", KeyboardInterrupt(), "done 130\n", id="interrupted"),
        pytest.param("staged", ValueError("a bug"), "", id="a-bug-before-the-work"),
        pytest.param(
            "sync", NotRepairedError("what was made is no good"), "done 4\n", id="refused"
        ),
        pytest.param("sync", LackingError("no space"), "done 7\n", id="no-space"),
        pytest.param("sync", ValueError("a bug"), "", id="a-bug-in-the-work"),
        pytest.param(
            "report_and_raise", ValueError("a bug"), "done 0\n", id="a-bug-behind-the-work"
        ),
    ],
)
def test_what_goes_wrong(
    answers: Callable[[], str],
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    error: BaseException,
    answer: str,
) -> None:
    owner = installer if function == "staged" else grub_install
    monkeypatch.setattr(owner, function, raiser(error))
    ends: AbstractContextManager[object] = (
        nullcontext() if answer.startswith("pass") else pytest.raises(type(error))
    )
    with ends:
        grub_install.run(Root(str(tree)), [])
    assert answers() == answer


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        pytest.param(
            ["--boot-directory=/nonexistent"], "pass --target=x86_64-xen\n", id="elsewhere"
        ),
        pytest.param(
            ["--target=x86_64-xen", "--boot-directory=/nonexistent"],
            "pass\n",
            id="elsewhere-target-named",
        ),
        pytest.param(
            ["--target=x86_64-xen", "--directory=/usr/lib/grub/x86_64-xen"],
            "pass\n",
            id="other-modules",
        ),
        pytest.param(["--target=i386-pc"], "pass\n", id="another-target"),
        pytest.param(["--target=i386-xen"], "pass\n", id="no-modules"),
        pytest.param(["--no-such-option"], "pass --target=x86_64-xen\n", id="unknown-option"),
    ],
)
def test_what_the_real_one_does_alone(
    answers: Callable[[], str], tree: Path, arguments: list[str], answer: str
) -> None:
    assert grub_install.run(Root(str(tree)), arguments) == ExitCode.OK
    assert answers() == answer


def test_the_real_one_s_own_failure(
    answers: Callable[[], str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "staged", raiser(CommandError("it failed", code=64)))
    assert grub_install.run(Root(str(tree)), []) == 64
    assert answers() == "done 64\n"


def test_without_a_wrapper_it_becomes_the_real_one(
    answers: Callable[[], str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[object] = []
    monkeypatch.delenv(grub_install.ANSWER)
    monkeypatch.setattr(grub_install, "become", lambda *words: became.extend(words))
    grub_install.run(Root(str(tree)), ["--boot-directory=/nonexistent"])
    assert became == [
        "/usr/sbin/grub-install.distrib",
        ["grub-install", "--target=x86_64-xen", "--boot-directory=/nonexistent"],
    ]
    assert answers() == ""


def test_its_choices_are_what_the_sync_keeps(
    answers: Callable[[], str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []

    def sync(_root: Root, _config: Config, request: Request, **_options: object) -> Result:
        requests.append(request)
        status = Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=None)
        return Result(before=status, status=status)

    monkeypatch.setattr(grub_install, "sync", sync)
    grub_install.run(
        Root(str(tree)), ["--modules=hexdump pgp", "--pubkey=/root/key", "--modules", "pgp sleep"]
    )
    assert requests[0].choices == {
        "x86_64-xen": Choices(modules=("hexdump", "pgp", "sleep"), public_keys=(KEY,))
    }
    assert answers() == "done 0\n"
