# SPDX-License-Identifier: GPL-3.0-or-later
"""/boot that is not there or not writable, receipts that say anything, and a clock that was set
back.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fault_lab, images
from tests.support.checkout import CHECKOUT
from tests.support.debian_tree import Suite
from tests.support.fault_lab import SECOND_STAGE, Lab
from tests.support.outside_guest import snapshot

YEAR = 365 * 86400
# The program's clock alone: the times of files stay the kernel's, so that the two disagree by
# years.
WRONG_CLOCK = """
import sys, time
real, real_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: real() + {shift}, lambda: real_ns() + {shift} * 10**9
from guest_hooks import cli
sys.exit(cli.main())
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with fault_lab.lab(tmp_path / "lab") as made:
        yield made


def receipt(lab: Lab) -> Path:
    return lab.work / "var-lib/xen-guest-bootloader/receipt.json"


def stage(lab: Lab) -> Path:
    return lab.work / SECOND_STAGE[1:]


@pytest.mark.parametrize("verb", ["sync", "rollback"])
def test_a_boot_of_fstab_that_is_not_mounted_is_left_alone(tmp_path: Path, verb: str) -> None:
    with images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk:
        for name in ("boot", "etc", "dev", "proc", "sys"):
            (disk.top / name).mkdir()
        (disk.top / "etc/fstab").write_text(
            "UUID=1234 / ext4 defaults 0 1\nUUID=5678 /boot ext4 defaults 0 2\n"
        )
        command = [
            "/usr/bin/python3",
            "-m",
            "guest_hooks",
            "--root",
            str(disk.top),
            verb,
            "--target",
            "x86_64-xen",
        ]
        env = os.environ | {"PYTHONPATH": str(CHECKOUT)}
        before = snapshot(disk.top)
        done = subprocess.run(
            command, capture_output=True, text=True, env=env, timeout=60, check=False
        )
        assert done.returncode == 7
        assert "/boot is in /etc/fstab and is not mounted" in done.stderr
        assert snapshot(disk.top) == before


def test_a_read_only_boot_is_told_and_keeps_what_it_has(lab: Lab) -> None:
    lab.synced()
    before = stage(lab).read_bytes()
    lab.grub = Suite.TRIXIE
    images.tool("mount", "-o", "remount,ro", str(lab.work / "boot"))
    done = lab.sync()
    assert done.returncode == 7
    assert "/boot is mounted read-only" in done.stderr
    images.tool("mount", "-o", "remount,rw", str(lab.work / "boot"))
    assert stage(lab).read_bytes() == before
    lab.synced()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"schema": 1, "targets": {"x86_64-xen": {"core_sha', id="cut-off"),
        pytest.param(b"\x00" * 4096, id="zeros"),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b'{"schema": 1' + b"0" * 5000 + b"}", id="long-number"),
        pytest.param(
            b'{"schema": 2, "targets": {"x86_64-xen": {"new": true}}, "more": 1}', id="newer"
        ),
        pytest.param(
            b'{"schema": 1, "targets": {"sparc": {"core_sha256": 7, "request": {}, "held_sha256":'
            b" null}}}",
            id="foreign",
        ),
    ],
)
def test_a_receipt_of_any_content_is_rebuilt(lab: Lab, text: bytes) -> None:
    lab.synced()
    good, before = receipt(lab).read_bytes(), stage(lab).read_bytes()
    receipt(lab).write_bytes(text)
    lab.synced()
    stage(lab).unlink()
    lab.synced()
    assert stage(lab).read_bytes() == before
    assert (
        json.loads(receipt(lab).read_bytes())["targets"]["x86_64-xen"]
        == json.loads(good)["targets"]["x86_64-xen"]
    )


def test_a_receipt_of_another_machine_changes_no_verdict(lab: Lab) -> None:
    lab.synced()
    foreign = json.loads(receipt(lab).read_bytes())
    foreign["targets"]["x86_64-xen"] |= {
        "core_sha256": "0" * 64,
        "request": ["hello"],
        "held_sha256": "0" * 64,
    }
    receipt(lab).write_text(json.dumps(foreign))
    before = stage(lab).read_bytes()
    lab.synced()
    assert stage(lab).read_bytes() == before
    lab.grub = Suite.TRIXIE
    lab.synced("--automatic")
    assert lab.view().modules == Suite.TRIXIE


@pytest.mark.parametrize("shift", [-20 * YEAR, 15 * YEAR])
def test_a_clock_set_wrong_changes_nothing(lab: Lab, shift: int) -> None:
    lab.synced()
    command = lab.sync_command()
    command[1:3] = ["-c", WRONG_CLOCK.format(shift=shift)]
    lab.grub = Suite.TRIXIE
    done = lab.run(*command)
    assert done.returncode == 0, done.stderr
    assert lab.view().modules == Suite.TRIXIE
    stage(lab).write_bytes(b"damaged")
    done = lab.run(*command)
    assert done.returncode == 0, done.stderr
    assert len(lab.view().core or b"") > 1_000_000
    assert lab.sync("--dry-run").returncode == 0
