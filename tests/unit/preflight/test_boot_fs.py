# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a /boot whose file system a GRUB may not read."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from guest_hooks.formats.fs_features import Feature
from guest_hooks.model import BootFilesystem, LastBoot, Severity, Unreadable
from guest_hooks.preflight.links import boot_fs
from guest_hooks.preflight.result import Certainty

BOOT = BootFilesystem(
    mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="1", grub_dir="/boot/grub"
)
SEED = Feature(name="metadata_csum_seed", reads="2.12")
INLINE = Feature(name="inline_data")


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
