# SPDX-License-Identifier: GPL-3.0-or-later
"""A next step names the tree, the targets and the configuration that the run was given."""

from dataclasses import replace

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.model import GrubCfgStatus, Guest, Mode, Problem, State, Status
from guest_hooks.preflight.result import Finding, Link, Preflight
from guest_hooks.problems.kernels import KernelProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.row import Actor
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.report.next_steps import Given

IMAGE = Given(root="/mnt/a disk", targets=("x86_64-xen", "i386-xen_pvh"), config="/etc/c.toml")
OPTIONS = "--root '/mnt/a disk' --target x86_64-xen --target i386-xen_pvh --config /etc/c.toml"


@pytest.mark.parametrize(
    ("given", "hint", "actor", "step"),
    [
        pytest.param(
            IMAGE,
            "make it with: xen-guest-bootloader sync",
            Actor.HERE,
            f"make it with: xen-guest-bootloader sync {OPTIONS}",
            id="command",
        ),
        pytest.param(
            IMAGE,
            "leave it, or replace it with: xen-guest-bootloader sync --adopt",
            Actor.HERE,
            f"leave it, or replace it with: xen-guest-bootloader sync {OPTIONS} --adopt",
            id="command-with-an-option",
        ),
        pytest.param(
            IMAGE, "update-grub", Actor.GUEST, "inside the guest: update-grub", id="guest"
        ),
        pytest.param(
            Given(targets=("i386-xen",)),
            "work on the image: xen-guest-bootloader sync --root DIR --target TARGET",
            Actor.GUEST,
            "work on the image: xen-guest-bootloader sync --root DIR --target TARGET",
            id="command-for-another-tree",
        ),
        pytest.param(
            Given(root="/mnt/a disk"),
            "keep it: echo 'x = true' >/etc/xen-guest-bootloader/conf.d/50-own.toml; or not",
            Actor.HERE,
            "keep it: echo 'x = true'"
            " >'/mnt/a disk/etc/xen-guest-bootloader/conf.d/50-own.toml'; or not",
            id="the-guest-s-configuration",
        ),
        pytest.param(
            IMAGE,
            "xen-guest-bootloader unhold",
            Actor.HERE,
            "xen-guest-bootloader unhold --root '/mnt/a disk'",
            id="verb-that-takes-no-target",
        ),
        pytest.param(IMAGE, "detach xvdb", Actor.HOST, "detach xvdb", id="host"),
        pytest.param(IMAGE, "", Actor.GUEST, "", id="none"),
        pytest.param(Given(), "update-grub", Actor.GUEST, "update-grub", id="in-the-guest"),
        pytest.param(
            Given(targets=("i386-xen",)),
            "have the host start it by xen-guest-bootloader stage1 build",
            Actor.HOST,
            "have the host start it by xen-guest-bootloader stage1 build",
            id="verb-of-the-host",
        ),
    ],
)
def test_a_step_is_one_for_this_run(given: Given, hint: str, actor: Actor, step: str) -> None:
    assert given.step(hint, actor) == step


def test_every_part_of_an_answer_has_its_steps() -> None:
    lacks = Problem.of(SecondStageProblem.GRUB_NOT_INSTALLED, "no modules")
    stale = Problem.of(MenuProblem.KERNEL_GONE, "gone", menu="xen-guest-bootloader sync")
    status = Status(
        guest=Guest(mode=Mode.NONE, bits=64),
        boot=None,
        targets=(),
        grub_cfg=GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.STALE, problems=(stale,)),
        problems=(lacks,),
    )
    shown = Given(root="/mnt").status(status)
    assert [problem.hint for problem in shown.problems] == [
        "inside the guest: apt install grub-xen-bin"
    ]
    assert shown.grub_cfg is not None
    assert [problem.hint for problem in shown.grub_cfg.problems] == [
        "make it again with: xen-guest-bootloader sync --root /mnt"
    ]
    found = Finding.of(
        KernelProblem.MISSING, link=Link.KERNEL, thing="k", message="gone", path="k", step="x"
    )
    answer = Preflight(guest=status.guest, chain=(), findings=(found,), unknown=())
    assert Given(root="/mnt").preflight(answer).findings == (
        replace(found, hint="inside the guest: x"),
    )
    error = LackingError("no", hint="xen-guest-bootloader sync")
    Given(root="/mnt").error(error)
    assert error.hint == "xen-guest-bootloader sync --root /mnt"


def test_a_sync_that_lacks_grub_s_package_comes_after_it() -> None:
    lacking = Problem.of(SecondStageProblem.GRUB_NOT_INSTALLED, "no modules")
    status = Status(
        guest=Guest(mode=Mode.PV, bits=64),
        boot=None,
        targets=(),
        grub_cfg=None,
        problems=(lacking,),
    )
    step = Given().with_package(status).step("make it with: xen-guest-bootloader sync")
    assert step == "make it with: apt install grub-xen-bin && xen-guest-bootloader sync"
    assert Given(root="/mnt").with_package(status).before_sync == ""
    assert Given().with_package(replace(status, problems=())) == Given()
