# SPDX-License-Identifier: GPL-3.0-or-later
"""For which second stages a sync remembers that they can be put back without a survey."""

from types import SimpleNamespace
from typing import Any

import pytest

from guest_hooks.machine import fingerprint
from guest_hooks.model import Problem
from guest_hooks.problems.row import ProblemCode
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.sync import unchanged

FILE, CORE = "/boot/xen/pvboot-x86_64.elf", "/boot/grub/x86_64-xen/core.elf"


def found(
    *, file: bytes | None = b"core", core: bytes = b"core", repair: bool = True, told: Any = ()
) -> Any:
    """A survey that found nothing to do."""
    target = SimpleNamespace(
        plan=SimpleNamespace(target=SimpleNamespace(grub_dir="/boot/grub/x86_64-xen")),
        evidence=SimpleNamespace(
            found={FILE: SimpleNamespace(data=file)},
            standing=SimpleNamespace(files={"core.elf": core}),
        ),
    )
    return SimpleNamespace(
        targets=(target,),
        config=SimpleNamespace(repair=repair),
        status=SimpleNamespace(problems=told),
    )


def problems(code: ProblemCode) -> tuple[Problem, ...]:
    return (Problem.of(code, "found", paths="", targets="", step=""),)


def test_a_second_stage_with_the_core_image_beside_its_modules() -> None:
    spare = {FILE: (CORE, fingerprint.checksum(b"core"))}
    assert unchanged._spares(found()) == spare
    assert unchanged._spares(found(told=problems(SecondStageProblem.LEFT_BEHIND))) == spare


@pytest.mark.parametrize(
    "survey",
    [
        pytest.param(found(file=None), id="missing"),
        pytest.param(found(file=b"bridge"), id="not-the-core-image"),
        pytest.param(found(repair=False), id="repairs-turned-off"),
        pytest.param(
            found(told=problems(SecondStageProblem.NOT_BOOTED_BY)), id="a-warning-to-repeat"
        ),
    ],
)
def test_no_other(survey: Any) -> None:
    assert unchanged._spares(survey) == {}
