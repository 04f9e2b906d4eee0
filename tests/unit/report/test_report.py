# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed, word for word; a change here is a change that users and their programs see.

The files of tests/golden are what was printed when they were made; `UPDATE_GOLDEN=1` makes them
anew, for the eyes of a reviewer.
"""

import json
import os
import re
from dataclasses import replace

import pytest
from prometheus_client import parser

from guest_hooks import terminal
from guest_hooks.errors import ExitCode, LackingError, NotApplicableError
from guest_hooks.model import (
    Problem,
    Severity,
    State,
    Status,
)
from guest_hooks.preflight.result import Finding, Link, Preflight, Step
from guest_hooks.problems.kernels import KernelProblem
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.repairs import ServiceStatus
from guest_hooks.report import as_json, as_metrics, boot_chain, messages, problem_lines, reasons
from guest_hooks.report.layout import Style
from guest_hooks.survey.outlook import Outlook
from tests.support import report_schema
from tests.support.checkout import CHECKOUT
from tests.support.reported import (
    BAD,
    BY_STAGE1,
    CFG,
    CHANGES,
    FAILURES,
    GOOD,
    GUEST,
    NOWHERE,
    PV,
    PV32,
)

GOLDEN = CHECKOUT / "tests/golden"


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("name", "status"),
    [("good", GOOD), ("bad", BAD), ("by-stage1", BY_STAGE1), ("nowhere", NOWHERE)],
)
def test_status_as_json(name: str, status: Status) -> None:
    table = as_json.status_json(status)
    assert report_schema.complaints(table, "status") == []
    golden(f"status-{name}.json", json.dumps(table, indent=2) + "\n")


@pytest.mark.parametrize(
    ("name", "status"),
    [("good", GOOD), ("bad", BAD), ("by-stage1", BY_STAGE1), ("nowhere", NOWHERE)],
)
def test_status_as_metrics(name: str, status: Status) -> None:
    outlook = Outlook(status=status, next_boot=next_boot(works=name == "good"))
    text = as_metrics.text(outlook, ServiceStatus(running=name == "good"))
    golden(f"status-{name}.prom", text)
    families = list(parser.text_string_to_metric_families(text))
    assert {family.type for family in families} == {"gauge"}
    assert {sample.name for family in families for sample in family.samples} == {
        family.name for family in families
    }


def next_boot(*, works: bool) -> Preflight:
    finding = Finding.of(
        KernelProblem.MISSING, link=Link.KERNEL, thing="k", message="gone", path="k", step="s"
    )
    findings = () if works else (finding,)
    kernel = Step(link=Link.KERNEL, text="k", thing="k")
    return Preflight(guest=GOOD.guest, chain=(kernel,), findings=findings, unknown=())


@pytest.mark.parametrize(
    ("status", "answer", "ok"),
    [
        pytest.param(GOOD, next_boot(works=True), True, id="good"),
        pytest.param(GOOD, None, True, id="next-boot-not-looked-at"),
        pytest.param(GOOD, next_boot(works=False), False, id="next-boot-fails"),
        pytest.param(BAD, next_boot(works=True), False, id="bad"),
    ],
)
def test_every_reader_of_a_status_is_told_the_same(
    status: Status, answer: Preflight | None, ok: bool
) -> None:
    outlook = Outlook(status=status, next_boot=answer)
    table = boot_chain.outlook_json(outlook)
    assert report_schema.complaints(table, "status") == []
    assert table["ok"] is ok
    assert outlook.exit_code is (ExitCode.OK if ok else ExitCode.DIFFERS)
    assert f"\nxen_guest_bootloader_ok {int(ok)}\n" in as_metrics.text(outlook)


def test_a_file_s_name_ends_no_label() -> None:
    """A line that can't be parsed costs all metrics of the machine."""
    version = '9"} 1\\'
    status = replace(GOOD, kernels=(replace(GOOD.kernels[0], version=version),))
    text = as_metrics.text(Outlook(status=status))
    found = {family.name: family for family in parser.text_string_to_metric_families(text)}
    samples = found["xen_guest_bootloader_kernel_start"].samples
    assert {sample.labels["version"] for sample in samples} == {version}


def test_what_was_not_looked_at_has_no_metric() -> None:
    names = set(
        re.findall(r"^# TYPE (\S+) gauge$", as_metrics.text(Outlook(status=GOOD)), re.MULTILINE)
    )
    assert names == {
        f"xen_guest_bootloader_{name}"
        for name in (
            "ok",
            "second_stage_state",
            "grub_cfg_state",
            "kernel_start",
            "problems",
            "booted_by_second_stage",
        )
    }


def test_sync_as_json() -> None:
    table = as_json.sync_json(BAD, CHANGES, FAILURES)
    assert report_schema.complaints(table, "sync") == []
    golden("sync.json", json.dumps(table, indent=2) + "\n")


def test_errors_as_json() -> None:
    error = as_json.error_json(LackingError("no room", hint="make room"))
    assert report_schema.complaints(error, "error") == []
    golden("error.json", json.dumps(error, indent=2) + "\n")
    nothing = as_json.no_status_json(GUEST, NotApplicableError("no Xen guest"))
    assert report_schema.complaints(nothing, "notApplicable") == []


def test_changes_as_text() -> None:
    assert reasons.changes_text(CHANGES, dry_run=False) == [
        "Rebuilt /boot/xen/pvboot-x86_64.elf: it was missing.",
        "Rebuilt /boot/grub/grub.cfg: it named a kernel that is gone and a kernel was not in it.",
    ]
    assert reasons.changes_text(CHANGES[:1], dry_run=True) == [
        "Would make /boot/xen/pvboot-x86_64.elf: it is missing."
    ]
    assert reasons.changes_text((), dry_run=False) == []


def test_a_next_step_is_told_once() -> None:
    problems = [
        Problem(code=SecondStageProblem.MISSING, message="one", hint="do it"),
        Problem(code=SecondStageProblem.UUID_MISMATCH, message="two", hint="do it"),
        Problem(code=SecondStageProblem.FOREIGN, message="x"),
        Problem(code=SecondStageProblem.FOREIGN, message="one", hint="said before"),
    ]
    lines = [terminal.shown(line) for line in problem_lines.problems(problems, Style(), set())]
    assert [line.split() for line in lines] == [
        ["why", "one"],
        ["why", "two"],
        ["do", "do", "it"],
        ["why", "x"],
    ]


def test_an_error_is_a_line_and_a_next_step() -> None:
    assert messages.error_text(LackingError("no room", hint="make room"), Style()) == [
        "xen-guest-bootloader: error: no room",
        "  -> make room",
    ]
    assert messages.error_text(LackingError("no room"), Style()) == [
        "xen-guest-bootloader: error: no room"
    ]


@pytest.mark.parametrize(
    ("status", "ok"),
    [
        pytest.param(GOOD, True, id="good"),
        pytest.param(BAD, False, id="bad"),
        pytest.param(replace(GOOD, targets=(PV, PV32)), True, id="an-optional-one-is-missing"),
        pytest.param(
            replace(GOOD, targets=(replace(PV, state=State.STALE),)),
            False,
            id="a-required-one-is-stale",
        ),
        pytest.param(
            replace(GOOD, grub_cfg=replace(CFG, state=State.MISSING)), False, id="no-grub-cfg"
        ),
        pytest.param(
            replace(GOOD, problems=(Problem(code=SecondStageProblem.MISSING, message="b"),)),
            False,
            id="an-error-beside",
        ),
        pytest.param(
            replace(
                GOOD,
                problems=(
                    Problem(
                        code=SecondStageProblem.MISSING, message="b", severity=Severity.WARNING
                    ),
                ),
            ),
            True,
            id="a-warning-beside",
        ),
    ],
)
def test_ok_means_that_nothing_is_left_to_do(status: Status, ok: bool) -> None:
    assert status.ok is ok
    assert as_json.status_json(status)["ok"] is ok
