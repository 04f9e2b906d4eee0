# SPDX-License-Identifier: GPL-3.0-or-later
"""What stage 1 meets: damaged second stages, and other disks."""

from pathlib import Path

import pytest

from guest_hooks.model import Severity, State
from guest_hooks.preflight.result import Certainty
from tests.support.boot_damage import (
    EARLIER,
    PVH,
    SECOND,
    STAGE2,
    minimal_mismatch,
    nothing_there,
    of_grub_install,
    own_boot_and_second_disk,
    second_disk,
    second_stage,
    without_module,
)
from tests.support.damage_case import Case, check

NOT_XEN = "not xen image."
WARNING, LIKELY = Severity.WARNING, Certainty.LIKELY
CASES = [
    Case(
        "other-disk-comes-first", second_disk(EARLIER, STAGE2), "other-disk-first", certainty=LIKELY
    ),
    Case(
        "other-disk-menu-first-pvh",
        second_disk(EARLIER, "/boot/grub/grub.cfg"),
        "other-disk-first",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "other-disk-has-an-earlier-name",
        own_boot_and_second_disk,
        "other-disk-first",
        certainty=LIKELY,
    ),
    Case(
        "other-disk-has-a-copy",
        second_disk(SECOND, STAGE2),
        "other-disk-has-copy",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "nothing-to-start",
        nothing_there,
        "stage1-finds-nothing",
        "no such device: /boot/grub/grub.cfg",
        also=frozenset({"grub-cfg-missing", "second-stage-missing"}),
    ),
    Case(
        "second-stage-gone",
        second_stage(State.MISSING, "missing"),
        "second-stage-missing",
        f"no such device: {STAGE2}.",
        boots=True,
    ),
    Case(
        "second-stage-of-another-width",
        second_stage(State.INVALID, "class-mismatch"),
        "second-stage-class-mismatch",
        "incompatible architecture",
        boots=True,
    ),
    Case(
        "second-stage-cut-off",
        second_stage(State.INVALID, "load-size"),
        "second-stage-load-size",
        NOT_XEN,
        boots=True,
        certainty=LIKELY,
    ),
    Case(
        "second-stage-zeroed",
        second_stage(State.INVALID, "kernel-zeroed"),
        "second-stage-kernel-zeroed",
    ),
    Case(
        "second-stage-is-a-stage-1",
        second_stage(State.INVALID, "stage-1-image"),
        "second-stage-stage-1-image",
        "Welcome to GRUB!",
    ),
    Case(
        "second-stage-of-another-uuid",
        second_stage(State.STALE, "uuid-mismatch"),
        "second-stage-uuid-mismatch",
        "no such device",
    ),
    Case(
        "second-stage-of-another-prefix",
        second_stage(State.STALE, "prefix-mismatch"),
        "second-stage-prefix-mismatch",
        "grub>",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-without-file-system",
        without_module("part_msdos"),
        "second-stage-modules-missing",
        "no such device",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-without-driver",
        without_module("ext2"),
        "second-stage-modules-missing",
        "no such device",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-of-grub-install",
        of_grub_install(),
        "second-stage-modules-missing",
        boots=True,
    ),
    Case(
        "second-stage-without-its-directory",
        of_grub_install("module-dir-differs", lost=("linux", "normal")),
        "second-stage-modules-missing",
        "normal.mod' not found",
        certainty=LIKELY,
        also=frozenset({"second-stage-module-dir-differs"}),
    ),
    Case(
        "second-stage-amid-a-newer-grub",
        of_grub_install("grub-differs"),
        "second-stage-grub-differs",
        "symbol `grub_",
        certainty=LIKELY,
        also=frozenset({"second-stage-modules-missing"}),
    ),
    Case(
        "second-stage-amid-its-own-older-grub",
        of_grub_install("grub-differs", "module-dir-differs"),
        "second-stage-grub-differs",
        boots=True,
        also=frozenset({"second-stage-modules-missing", "second-stage-module-dir-differs"}),
    ),
    Case(
        "second-stage-old-but-whole",
        second_stage(State.STALE, "grub-differs"),
        "second-stage-grub-differs",
        boots=True,
    ),
    Case(
        "second-stage-amid-other-modules",
        minimal_mismatch,
        "second-stage-module-dir-differs",
        "symbol `grub_",
        certainty=LIKELY,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)
