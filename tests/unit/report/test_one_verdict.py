# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen, JSON, the metrics and the journal say the same of one guest."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.errors import (
    ExitCode,
    LackingError,
    NotRepairedError,
)
from guest_hooks.machine import journal, last_failure
from guest_hooks.machine.root import Root
from guest_hooks.model import Severity
from guest_hooks.origin import By, Doer
from guest_hooks.report import (
    as_journal,
    as_metrics,
    boot_chain,
)
from guest_hooks.report.layout import Style
from guest_hooks.report.status_screen import status_screen
from guest_hooks.survey.outlook import Outlook
from guest_hooks.sync.result import Result
from tests.support.command_line import Run
from tests.support.scenes import SCENES


@pytest.mark.parametrize("situation", SCENES)
def test_every_reader_has_the_same_verdict(situation: str) -> None:
    expected = SCENES[situation]
    scene = expected.scene
    outlook = Outlook(status=scene.status, next_boot=scene.next_boot)
    first = expected.screen(Style(width=80))[0].removeprefix("Next boot").strip()
    table = boot_chain.outlook_json(outlook, scene.service)
    metrics = as_metrics.text(outlook, scene.service).splitlines()
    ok = expected.code == ExitCode.OK
    assert outlook.exit_code == expected.code
    assert table["ok"] is ok
    assert f"xen_guest_bootloader_ok {int(ok)}" in metrics
    if scene.next_boot is None:
        assert first.startswith("not known")
        assert table["next_boot"] is None
        assert "xen_guest_bootloader_next_boot_ok" not in " ".join(metrics)
        return
    assert first.startswith("WILL NOT BOOT") is not table["next_boot"]["will_boot"]
    if first.startswith("not known"):
        assert table["next_boot"]["will_boot"] is None
        assert "xen_guest_bootloader_next_boot_ok" not in " ".join(metrics)
        return
    assert f"xen_guest_bootloader_next_boot_ok {int(table['next_boot']['ok'])}" in metrics
    alarm = boot_chain.alarm_text(scene.next_boot, Style())
    assert bool(alarm) is first.startswith("WILL NOT BOOT")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the journal is told."""
    messages: list[str] = []
    (tmp_path / "socket").touch()
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "socket"))
    monkeypatch.setattr(
        journal, "send", lambda _outcome, message, **_fields: messages.append(message)
    )
    return messages


@pytest.mark.parametrize("situation", SCENES)
def test_the_journal_of_a_run_that_left_it_so_has_the_words_of_the_screen(
    situation: str, told: list[str]
) -> None:
    status = SCENES[situation].scene.status
    menus = (status.grub_cfg,) if status.grub_cfg else ()
    judged = (*status.targets, *menus, *status.kernels)
    errors = [
        NotRepairedError(problem.message, hint=problem.hint)
        for each in judged
        for problem in each.problems
        if problem.severity is Severity.ERROR
    ]
    as_journal.tell(
        Result(before=status, status=status, failures=tuple(errors)), By(doer=Doer.SERVICE)
    )
    shown = " ".join(" ".join(SCENES[situation].screen(Style(width=80))).split())
    assert bool(told) is not status.ok
    assert [message for message in told if message not in shown] == []


def test_the_journal_has_the_words_of_the_screen(told: list[str], tmp_path: Path) -> None:
    no_room = LackingError("/boot/xen needs 2.8 MiB, and 2.5 MiB are free")
    as_journal.tell_failure(no_room, By(doer=Doer.SERVICE))
    last_failure.note(Root(str(tmp_path)), no_room)
    left = last_failure.read(Root(str(tmp_path)), no_room.exit_code)
    assert left is not None
    scene = SCENES["failing repair"].scene
    assert scene.service is not None
    shown = replace(scene, service=replace(scene.service, repair=left.message))
    assert f"failing: {told[0]}; next try" in " ".join(
        " ".join(status_screen(shown, Style(width=80))).split()
    )
    foreign = SCENES["foreign"].scene.status
    problem = foreign.targets[0].problems[0]
    failure = NotRepairedError(problem.message, hint=problem.hint)
    result = Result(before=foreign, status=foreign, failures=(failure,))
    as_journal.tell(result, By(doer=Doer.SERVICE))
    assert told[1] in " ".join(" ".join(SCENES["foreign"].screen(Style(width=80))).split())


def test_an_hvm_guest_has_one_verdict(tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text("HVM\n")
    done = Run("status", "--root", str(tree), "--json")
    assert (done.code, done.json["ok"], done.json["error"]["exit_code"]) == (5, False, 5)
    assert "this is an HVM guest" in done.stderr
    assert Run("status", "--root", str(tree), "--metrics").code == ExitCode.NOT_APPLICABLE


def test_a_wrong_configuration_has_one_verdict(tree: Path) -> None:
    (tree / "etc/xen-guest-bootloader/config.toml").write_text("targts = []\n")
    for form in ((), ("--json",), ("--metrics",)):
        done = Run("status", "--root", str(tree), *form)
        assert done.code == ExitCode.USAGE
        assert "config.toml: unknown key 'targts'" in done.stderr
        assert "did you mean targets?" in done.stderr
