# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal read back, and by whom its entries say that something was done."""

import json
import time
from typing import Any

import pytest

from guest_hooks.errors import ExitCode
from guest_hooks.machine import doer, journal_entries
from guest_hooks.machine.journal import KINDS, Outcome
from guest_hooks.machine.run import Completed
from guest_hooks.origin import Doer, Entry
from guest_hooks.program import SYNC_UNIT
from guest_hooks.report import log_text
from guest_hooks.report.layout import Style
from tests.support import report_schema
from tests.support.command_line import Run

NOW = time.mktime((2026, 11, 25, 14, 42, 0, 0, 0, -1))
PATH = "/boot/xen/pvboot-x86_64.elf"


def row(**fields: object) -> bytes:
    known = {"__REALTIME_TIMESTAMP": str(int((NOW - 7200) * 1e6)), "MESSAGE": "Rebuilt it."}
    return json.dumps({**known, **fields}).encode()


def read(*rows: bytes) -> tuple[Entry, ...]:
    def run(command: list[str], **_options: Any) -> Completed:
        assert "_UID=0" in command  # anybody may write under our identifier
        assert f"MESSAGE_ID={KINDS[Outcome.REPAIRED].message_id}" in command
        return Completed(code=0, stdout=b"\n".join(rows), stderr=b"")

    return journal_entries.read(30, run=run)  # type: ignore[arg-type]


def test_an_entry_as_text_and_as_json() -> None:
    fields = {"BOOTLOADER_OUTCOME": "repaired", "BOOTLOADER_PATH": PATH}
    by = {"BOOTLOADER_BY": "hook", "BOOTLOADER_BY_NAME": "kernel-postinst of linux-image-6.1"}
    found = read(row(**fields, **by, MESSAGE=f"Rebuilt {PATH}: it was missing."))
    assert report_schema.complaints(log_text.log_json(found), "log") == []
    assert log_text.log_text(found, NOW, Style(width=80)) == [
        f"12:42             Rebuilt {PATH}: it was missing. (by hook",
        "                  kernel-postinst of linux-image-6.1)",
    ]


def test_a_person_is_named() -> None:
    found = read(row(BOOTLOADER_BY="person", BOOTLOADER_BY_NAME="alice"))
    assert log_text.log_text(found, NOW, Style()) == ["12:42             Rebuilt it. (by alice)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ([226, 152, 131, 27], "\u2603\x1b"), ("plain", "plain")],
    ids=["too-long", "bytes", "text"],
)
def test_a_field_as_journalctl_prints_it(value: object, text: str) -> None:
    assert read(row(MESSAGE=value))[0].message == text


def test_an_entry_of_an_older_version_says_nothing_of_whom() -> None:
    assert log_text.log_text(read(row()), NOW, Style()) == ["12:42             Rebuilt it."]


@pytest.mark.parametrize(
    ("environ", "unit", "automatic", "expected"),
    [
        pytest.param({"SUDO_USER": "alice"}, "session-1.scope", False, Doer.PERSON, id="person"),
        pytest.param({}, SYNC_UNIT, True, Doer.SERVICE, id="service"),
        pytest.param(
            {"TRIGGER_UNIT": "xen-guest-bootloader-audit.timer"},
            SYNC_UNIT,
            True,
            Doer.TIMER,
            id="timer",
        ),
        pytest.param({}, "", True, Doer.SERVICE, id="without-systemd"),
    ],
)
def test_who_runs_a_verb(
    environ: dict[str, str], unit: str, automatic: bool, expected: Doer
) -> None:
    by = doer.of_command(environ, automatic=automatic, unit=unit)
    assert by.doer is expected
    assert by.name == environ.get("SUDO_USER", "")


def test_who_calls_a_hook() -> None:
    package = {"DPKG_MAINTSCRIPT_PACKAGE": "linux-image-6.1"}
    assert doer.of_hook("kernel-postinst", package).name == "kernel-postinst of linux-image-6.1"
    assert doer.of_hook("grub-install", package).doer is Doer.HOOK
    by_hand = doer.of_hook("grub-install", {"SUDO_USER": "alice"})
    assert (by_hand.doer, by_hand.name) == (Doer.PERSON, "alice (grub-install)")


def test_another_tree_has_another_journal(tmp_path: object) -> None:
    done = Run("log", "--root", str(tmp_path))
    assert done.code == ExitCode.USAGE
    assert "journalctl --root" in done.stderr


@pytest.mark.parametrize("lines", ["0", "-1", "x", "", "1.5", "99999999999"])
def test_a_number_of_entries(lines: str) -> None:
    assert Run("log", "--lines", lines).code == ExitCode.USAGE
