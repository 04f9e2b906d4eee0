# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a /boot whose file system a GRUB may not read."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from guest_hooks.config import Modules
from guest_hooks.formats.fs_features import Feature
from guest_hooks.model import (
    BootFilesystem,
    FileStatus,
    LastBoot,
    Severity,
    State,
    TargetStatus,
    Unreadable,
)
from guest_hooks.preflight.links import boot_fs, second_stage
from guest_hooks.preflight.result import Certainty

BOOT = BootFilesystem(
    mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="1", grub_dir="/boot/grub"
)
SEED = Feature(name="metadata_csum_seed", reads="2.12")
INLINE = Feature(name="inline_data")
PARENT = Feature(name="parent", reads="2.14")


@pytest.mark.parametrize(
    ("features", "via", "codes"),
    [
        pytest.param((), "unknown", [], id="every-grub-reads-it"),
        pytest.param(
            (SEED,), "unknown", ["boot-file-system-newer-than-host"], id="trixie-s-defaults"
        ),
        pytest.param((SEED,), "second-stage", [], id="this-host-has-read-it"),
        pytest.param((SEED,), "stage-1", [], id="this-host-has-read-its-menu"),
    ],
)
def test_a_host_may_be_older(features: Sequence[Feature], via: str, codes: list[str]) -> None:
    found = boot_fs.findings(BOOT, features, LastBoot(via=via))
    assert [finding.code for finding in found] == codes
    for finding in found:
        assert (finding.severity, finding.stops) == (Severity.WARNING, False)
        assert finding.certainty is Certainty.UNKNOWN
        assert "metadata_csum_seed" in finding.message
        assert "2.12" in finding.hint


@pytest.mark.parametrize(
    ("readers", "hint"),
    [
        pytest.param("2.14", "install grub-xen-bin 2.14 or later, or put /boot", id="newer-grub"),
        pytest.param("", "put /boot on a file system made without parent", id="no-grub-yet"),
    ],
)
def test_its_own_grub_is_too_old(readers: str, hint: str) -> None:
    unreadable = Unreadable(features=("parent",), version="2.12-9", readers=readers)
    boot = replace(BOOT, fs_type="xfs", unreadable=unreadable)
    (finding,) = boot_fs.findings(boot, (INLINE,), LastBoot(via="second-stage"))
    assert (finding.code, finding.stops) == ("boot-file-system-unreadable", True)
    assert "GRUB 2.12-9 can't read /dev/xvda1" in finding.message
    assert "xfs with parent" in finding.message
    assert finding.hint.startswith(hint)


def test_a_second_stage_of_a_newer_grub_reads_it_all_the_same() -> None:
    unreadable = Unreadable(features=("parent",), version="2.12-9", readers="2.14")
    boot = replace(BOOT, fs_type="xfs", unreadable=unreadable)
    (finding,) = boot_fs.findings(boot, (PARENT,), LastBoot(via="unknown"), is_read=True)
    assert (finding.code, finding.stops) == ("boot-file-system-unreadable", False)


@pytest.mark.parametrize(
    ("version", "feature", "is_read"),
    [
        pytest.param("2.06-3", SEED, False, id="older"),
        pytest.param("2.12-9", SEED, True, id="newer"),
        pytest.param("2.12-9", PARENT, False, id="older-than-the-installed-one"),
        pytest.param(
            "2.06-3", replace(SEED, reads="", is_known=False), True, id="not-in-the-table"
        ),
        pytest.param("", SEED, True, id="of-no-known-version"),
    ],
)
def test_a_second_stage_of_an_older_grub_does_not(
    version: str, feature: Feature, is_read: bool
) -> None:
    path = "/boot/xen/pvboot-x86_64.elf"
    target = TargetStatus(
        target="x86_64-xen",
        required=True,
        state=State.STALE,
        files=(FileStatus(path=path, state=State.STALE),),
        grub_version=version,
    )
    found = second_stage.findings(target, BOOT, Modules.EMBEDDED, [feature])
    assert [(each.code, each.stops) for each in found] == (
        [] if is_read else [("boot-file-system-unreadable", True)]
    )
    for finding in found:
        assert f"{path} is of GRUB {version}, which can't read /dev/xvda1" in finding.message
    assert second_stage.reads(target, [feature]) is (is_read and bool(version))
