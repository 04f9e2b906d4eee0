# SPDX-License-Identifier: GPL-3.0-or-later
"""What pygrub would start of a guest: its file systems, its files, its choice."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.model import BootFilesystem, Mode, Severity
from guest_hooks.preflight.links import pygrub
from guest_hooks.problems.other_hosts import PYGRUB_ENDS
from tests.support.boot_tree import BootTree

BOOT = BootFilesystem(
    mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="1", grub_dir="/boot/grub"
)
ONE = "menuentry 'one' x {\nlinux /k1 root=/dev/xvda1 ro\ninitrd /i1\n}\n"
TWO = "menuentry 'two' x {\nlinux /k2\n}\n"
TIMEOUT = "set timeout=5\n"


def followed(files: Mapping[str, str], boot: BootFilesystem = BOOT) -> pygrub.Chosen:
    return pygrub.follow(boot, files.get)


@pytest.mark.parametrize("fs_type", ["xfs", "btrfs"])
def test_a_file_system_that_it_cannot_read(fs_type: str) -> None:
    (finding,) = followed({"/boot/grub/grub.cfg": ONE}, replace(BOOT, fs_type=fs_type)).findings
    assert (finding.code, finding.stops, finding.console) == (
        "pygrub-file-system",
        True,
        PYGRUB_ENDS,
    )


@pytest.mark.parametrize(
    ("files", "code"),
    [
        pytest.param({}, "pygrub-finds-nothing", id="no-menu"),
        pytest.param({"/boot/grub/grub.cfg": "}\n"}, "pygrub-refuses", id="brace-too-many"),
        pytest.param(
            {"/boot/grub/grub.cfg": TIMEOUT + ONE.replace("x {", "x {\nset root=(xen/xvda)")},
            "pygrub-refuses",
            id="xen-device",
        ),
        pytest.param({"/boot/grub/grub.cfg": TIMEOUT}, "pygrub-starts-nothing", id="no-entry"),
        pytest.param(
            {"/boot/grub/grub.cfg": TIMEOUT + "menuentry 'xen' x {\nmultiboot2 /xen.gz\n}\n" + ONE},
            "pygrub-starts-nothing",
            id="hypervisor-first",
        ),
        pytest.param(
            {"/boot/grub/grub.cfg": "}\n", "/boot/grub/menu.lst": "title a\nkernel /k\n"},
            "pygrub-refuses",
            id="no-second-try",
        ),
    ],
)
def test_what_ends_it(files: Mapping[str, str], code: str) -> None:
    found = followed(files)
    assert [finding.code for finding in found.findings if finding.stops] == [code]
    assert found.choice is None


@pytest.mark.parametrize(
    ("files", "kernel"),
    [
        pytest.param(
            {"/boot/grub/grub.cfg": TIMEOUT + "set default=1\n" + ONE + TWO}, "/k2", id="number"
        ),
        pytest.param(
            {"/boot/grub/grub.cfg": TIMEOUT + "set default=two\n" + ONE + TWO},
            "/k1",
            id="title-means-the-first",
        ),
        pytest.param(
            {"/boot/grub/grub.cfg": TIMEOUT + "set default=1\nsubmenu 's' {\n" + ONE + TWO + "}\n"},
            "/k2",
            id="flat-numbers",
        ),
        pytest.param({"/grub/grub.cfg": TIMEOUT + TWO}, "/k2", id="own-boot"),
        pytest.param(
            {"/boot/grub/menu.lst": "timeout 5\ntitle a\nkernel /k3\n"}, "/k3", id="menu-lst"
        ),
    ],
)
def test_what_it_starts(files: Mapping[str, str], kernel: str) -> None:
    found = followed(files)
    assert found.findings == ()
    assert found.choice is not None
    assert found.choice.entry is not None
    assert found.choice.entry.boot is not None
    assert found.choice.entry.boot.kernel == kernel


def test_without_a_timeout_it_waits() -> None:
    (finding,) = followed({"/boot/grub/grub.cfg": ONE}).findings
    assert (finding.code, finding.severity, finding.stops) == (
        "pygrub-waits",
        Severity.WARNING,
        False,
    )


def test_preflight_follows_it_where_the_host_is_known_to_start_it(tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=Mode.PV)
    tree.config = replace(tree.config, stage1=Stage1.PYGRUB)
    assert tree.preflight().will_boot
    tree.write("boot/grub/grub.cfg", tree.read("boot/grub/grub.cfg") + b"}\n")
    answer = tree.preflight()
    assert [finding.code for finding in answer.findings if finding.stops] == ["pygrub-refuses"]
    assert any("pygrub starts nothing" in step.text for step in answer.chain)
