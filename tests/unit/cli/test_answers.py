# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program is told: each verb's object, the one schema of them all, and the exit codes."""

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from guest_hooks.cli import verbs
from guest_hooks.cli.options import Options
from guest_hooks.cli.session import Session
from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.formats import pvh_bridge
from guest_hooks.machine.root import Root
from guest_hooks.report.layout import Style
from guest_hooks.targets import TARGETS
from tests.support import report_schema, second_stages
from tests.support.checkout import CHECKOUT
from tests.support.command_line import Run


def test_detect_prints_what_the_schema_says(tree: Path) -> None:
    assert (
        report_schema.complaints(Run("detect", "--root", str(tree), "--json").json, "detect") == []
    )


@pytest.mark.parametrize("target", TARGETS)
def test_inspect_prints_what_the_schema_says(tmp_path: Path, target: str) -> None:
    file = tmp_path / "core.elf"
    file.write_bytes(second_stages.core_image(target))
    table = Run("inspect", str(file), "--json").json
    assert report_schema.complaints(table, "inspect") == []
    assert (table["format"], table["fits"], table["fs_uuid"]) == (
        "second-stage",
        [target],
        second_stages.UUID,
    )
    file.write_bytes(file.read_bytes()[:10_000])
    table = Run("inspect", str(file), "--json").json
    assert report_schema.complaints(table, "inspect") == []
    assert table["fits"] == []
    assert table["problems"] != []


def test_inspect_prints_one_object_a_file(tmp_path: Path) -> None:
    names = [tmp_path / "a", tmp_path / "b"]
    for name in names:
        name.write_bytes(b"x")
    lines = Run("inspect", *map(str, names), "--json").stdout.splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(name) for name in names]
    assert all(report_schema.complaints(json.loads(line), "inspect") == [] for line in lines)


@pytest.mark.parametrize("keep", [700, 3000, 20_000, -1])
def test_inspect_of_a_damaged_bridge_tells_so_among_others(tmp_path: Path, keep: int) -> None:
    bridge = pvh_bridge.wrap(second_stages.core_image("i386-xen_pvh"))
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    whole.write_bytes(bridge)
    damaged.write_bytes(bridge[:keep])
    done = Run("inspect", str(damaged), str(whole), "--json")
    assert done.code == ExitCode.OK
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert report_schema.complaints(first, "inspect") == []
    assert (first["bridge"], first["fits"], second["fits"]) == (True, [], ["i386-xen_pvh"])
    assert "bridge-damaged" in {problem["code"] for problem in first["problems"]}
    assert "PVH bridge" in Run("inspect", str(damaged)).stdout


def test_inspect_of_a_large_file_reads_none_of_it(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)
    done = Run("inspect", str(tmp_path / "large"))
    assert done.code == ExitCode.USAGE
    assert "more than" in done.stderr


def test_inspect_of_a_name_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "a\nb").write_bytes(b"x")
    done = Run("inspect", str(tmp_path / "a\nb"))
    assert done.code == 0
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_stage1_config_prints_what_the_schema_says(target: str) -> None:
    assert (
        report_schema.complaints(
            Run("stage1", "config", "--target", target, "--json").json, "stage1Config"
        )
        == []
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(report_schema.schema())


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({}, id="nothing"),
        pytest.param(
            {"schema": 2, "ok": False, "error": {"exit_code": 2, "message": "x", "hint": ""}},
            id="another-schema",
        ),
        pytest.param(
            {"schema": 1, "ok": False, "error": {"exit_code": 0, "message": "x", "hint": ""}},
            id="success-as-error",
        ),
        pytest.param(
            {
                "schema": 1,
                "ok": False,
                "error": {"exit_code": 2, "message": "x", "hint": ""},
                "more": 1,
            },
            id="unknown-key",
        ),
        pytest.param({"schema": 1, "guest": {}, "targets": []}, id="empty-guest"),
    ],
)
def test_the_schema_refuses(table: dict[str, Any]) -> None:
    assert report_schema.complaints(table) != []


def test_the_schema_ships() -> None:
    assert "guest_hooks = schema/*.json" in (CHECKOUT / "setup.cfg").read_text()


def test_a_fault_of_the_program_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_session: object) -> ExitCode:
        raise RuntimeError("out of cheese")

    journal: list[str] = []
    monkeypatch.setattr(verbs, "_verb", lambda _name: fail)
    monkeypatch.setattr(verbs, "_to_journal", journal.append)
    assert verbs.run(["detect", "--json"]) == ExitCode.FAULT
    out, err = capsys.readouterr()
    assert report_schema.complaints(json.loads(out), "error") == []
    assert len(err.splitlines()) == 1
    assert "out of cheese" in err
    assert "Traceback" in journal[0]


def test_the_table_of_exit_codes_is_the_manual_s() -> None:
    manual = (CHECKOUT / "man/xen-guest-bootloader.8").read_text()
    section = manual.partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    plain = section.replace("\\-", "-").replace("\\", "")
    rows = re.findall(r"^\.TP\n\.B (\d)\n(.*)$", plain, re.MULTILINE)
    assert {int(code): text for code, text in rows} == {
        int(code): code.meaning for code in ExitCode
    }


def test_the_help_names_every_exit_code_of_a_verb() -> None:
    text = Run("--help").stdout.partition("Exit status:")[2].partition("More:")[0]
    codes = {int(code) for code in re.findall(r"\b\d\b", text)}
    assert codes == set(ExitCode) - {ExitCode.WOULD_NOT_BOOT}


def test_every_expected_failure_has_a_documented_code() -> None:
    def family(kind: type[GuestHooksError]) -> list[type[GuestHooksError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in family(child))]

    assert {kind.exit_code for kind in family(GuestHooksError)} <= set(ExitCode) - {
        ExitCode.OK,
        ExitCode.FAULT,
    }


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [
        pytest.param(
            True, "Rebuilt /boot/xen/pvboot-x86_64.elf: it was\n  missing.\n", id="terminal"
        ),
        pytest.param(False, "Rebuilt /boot/xen/pvboot-x86_64.elf: it was missing.\n", id="pipe"),
    ],
)
def test_a_terminal_breaks_no_word(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, shown: str
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", screen)
    session = Session(
        options=Options(verb="sync"),
        root=Root(),
        style=Style(width=45),
        error_style=Style(),
    )
    session.note(["Rebuilt /boot/xen/pvboot-x86_64.elf: it was missing."])
    assert screen.getvalue() == shown


def test_a_terminal_breaks_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    style = Style(width=45)
    session = Session(options=Options(verb="sync"), root=Root(), style=style, error_style=style)
    assert session.wrapped(["It stays; take the newest again with: xen-guest-bootloader sync"]) == [
        "It stays; take the newest again with:",
        "  xen-guest-bootloader sync",
    ]


@pytest.mark.parametrize("is_wrong", [False, True])
def test_quiet_shows_only_what_is_wrong(
    capsys: pytest.CaptureFixture[str], *, is_wrong: bool
) -> None:
    for as_json in (False, True):
        session = Session(
            options=Options(verb="status", quiet=True, json=as_json),
            root=Root(),
            style=Style(),
            error_style=Style(),
        )
        session.say(["Next boot    WILL NOT BOOT"], is_wrong=is_wrong)
    assert capsys.readouterr().out == "Next boot    WILL NOT BOOT\n" * is_wrong
