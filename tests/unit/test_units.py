# SPDX-License-Identifier: GPL-3.0-or-later
"""The units and the message catalogue, read without a running systemd."""

import re
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from guest_hooks import config
from guest_hooks.machine import service
from guest_hooks.machine.journal import KINDS, Outcome
from guest_hooks.program import SYNC_UNIT
from tests.support.checkout import CHECKOUT

SYSTEMD = CHECKOUT / "systemd"
UNITS = sorted([*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.timer")])
MOST_EXPOSED = 2.0
MOST_EXPOSED_REPAIR = 3.4


def unit(name: str) -> RawConfigParser:
    """A unit file; of keys that stand more than once the last."""
    parser = RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SYSTEMD / name)
    return parser


def exposure(path: Path) -> float:
    """What systemd-analyze makes of a unit: 0 is best, 10 worst."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    match = re.search(r"Overall exposure level for .*: ([0-9.]+) ", done.stdout)
    assert match, done.stdout
    return float(match.group(1))


def test_the_watcher_is_hardened() -> None:
    assert exposure(SYSTEMD / service.WATCHER) <= MOST_EXPOSED


def test_the_repair_is_hardened() -> None:
    assert exposure(SYSTEMD / SYNC_UNIT) <= MOST_EXPOSED_REPAIR


def test_each_restriction_of_the_repair_has_its_reason() -> None:
    lines = (SYSTEMD / SYNC_UNIT).read_text().splitlines()
    restrictions = range(
        next(n for n, line in enumerate(lines) if line.startswith("CapabilityBoundingSet=")),
        len(lines),
    )
    assert len(restrictions) > 40
    assert [
        lines[number]
        for number in restrictions
        if lines[number][0] != "#" and lines[number - 1][0] != "#"
    ] == []


def test_an_unhardened_unit_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "bare.service"
    path.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(path) > 2 * MOST_EXPOSED


def test_the_watcher_may_not_write_to_boot() -> None:
    watcher = unit(service.WATCHER)["Service"]
    assert watcher["ProtectSystem"] == "strict"
    assert watcher["CapabilityBoundingSet"] == ""
    assert watcher["DeviceAllow"] == "block-* r"
    assert "ReadWritePaths" not in watcher


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_on_xen_guests_alone(path: Path) -> None:
    text = path.read_text()
    assert "\nConditionVirtualization=xen\n" in text
    assert "\nConditionKernelCommandLine=!boot=live\n" in text


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_key_is_known_to_systemd(path: Path, tmp_path: Path) -> None:
    text = re.sub(r"^Documentation=.*\n", "", path.read_text(), flags=re.MULTILINE)
    for other in UNITS:  # the programs they name are not installed here
        (tmp_path / other.name).write_text(
            other.read_text().replace("/usr/bin/xen-guest-bootloader", "/bin/true")
        )
    (tmp_path / path.name).write_text(text.replace("/usr/bin/xen-guest-bootloader", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / path.name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert path.name not in done.stderr
    assert done.returncode == 0, done.stderr


def test_the_repair_is_not_cut_short() -> None:
    repair = unit(SYNC_UNIT)["Service"]
    assert repair["KillSignal"] == "SIGCONT"
    assert repair["Type"] == "oneshot"


def test_the_timer_starts_the_repair() -> None:
    assert unit("xen-guest-bootloader-audit.timer")["Timer"]["Unit"] == SYNC_UNIT


def test_the_runtime_directory_is_where_the_state_is() -> None:
    assert f"/run/{unit(service.WATCHER)['Service']['RuntimeDirectory']}" == service.RUN_DIR


def catalogue() -> dict[str, str]:
    """The catalogue's entries by message identifier."""
    parts = re.split(
        r"^-- ([0-9a-f]{32})$",
        (SYSTEMD / "xen-guest-bootloader.catalog").read_text(),
        flags=re.MULTILINE,
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    text = catalogue()[KINDS[outcome].message_id]
    assert "\nSubject: " in text
    assert "\nDefined-By: xen-guest-bootloader\n" in text
    assert len(text.split("\n\n", 1)[1].strip()) > 40


def test_the_catalogue_explains_nothing_else() -> None:
    assert set(catalogue()) == {kind.message_id for kind in KINDS.values()}
    assert len(KINDS) == len(catalogue()) == len(Outcome)


def test_what_is_advised_of_a_foreign_file_leaves_it_alone() -> None:
    text = catalogue()[KINDS[Outcome.FOREIGN].message_id]
    assert "sync --adopt" in text
    advised = re.findall(r"^\w+ = .*", text, re.MULTILINE)[-1]
    assert config.parse([config.Source(name="", data=advised.encode())]).accept_foreign


def test_journalctl_takes_the_catalogue(tmp_path: Path) -> None:
    directory = tmp_path / "usr/lib/systemd/catalog"
    directory.mkdir(parents=True)
    (directory / "ours.catalog").write_bytes(
        (SYSTEMD / "xen-guest-bootloader.catalog").read_bytes()
    )
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--update-catalog"],
        check=True,
        timeout=60,
        capture_output=True,
    )
    shown = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--dump-catalog", KINDS[Outcome.UNDONE].message_id],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Something undoes each repair" in shown.stdout
