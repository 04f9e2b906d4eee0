# SPDX-License-Identifier: GPL-3.0-or-later
"""preflight --as: which targets a guest has in the other mode, and by which stage 1 it comes."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from guest_hooks.cli.verbs.show_preflight import _as_mode, _to_keep
from guest_hooks.config import Config, Stage1
from guest_hooks.machine.root import Root
from guest_hooks.model import Mode
from guest_hooks.report.next_steps import Given


@pytest.mark.parametrize(
    ("mode", "targets", "stage1"),
    [
        pytest.param(Mode.PVH, ["i386-xen_pvh"], Stage1.AUTO, id="other"),
        pytest.param(Mode.PV, ["x86_64-xen"], Stage1.DEBIAN_PV, id="same"),
    ],
)
def test_the_targets_are_those_of_the_mode(
    tree: Path, mode: Mode, targets: list[str], stage1: Stage1
) -> None:
    (tree / "sys/kernel").mkdir()
    (tree / "sys/kernel/address_bits").write_text("64\n")
    # The configuration's own targets do not matter, and a stage 1 of the other mode does not fit.
    config = Config(targets=("i386-xen",), stage1=Stage1.DEBIAN_PV)
    session = SimpleNamespace(root=Root(str(tree)))
    found, by = _as_mode(session, mode, config)  # type: ignore[arg-type]
    assert (found, by.stage1) == (targets, stage1)


def test_an_hvm_guest_can_be_followed_as_another(tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text("HVM\n")
    session = SimpleNamespace(root=Root(str(tree)))
    assert _as_mode(session, Mode.PVH, Config())[0] == ["i386-xen_pvh"]  # type: ignore[arg-type]


MAKE = "make it with: xen-guest-bootloader sync"


@pytest.mark.parametrize(
    ("config", "given", "step"),
    [
        pytest.param(
            Config(),
            Given(),
            """make it with: echo 'targets = ["auto", "i386-xen_pvh"]' >{conf} && {sync}""",
            id="not-kept-yet",
        ),
        pytest.param(
            Config(targets=("auto", "i386-xen_pvh")), Given(), "make it with: {sync}", id="kept"
        ),
        pytest.param(
            Config(),
            Given(config="/root/c.toml"),
            "make it with: {sync} --target i386-xen_pvh --config /root/c.toml",
            id="another-configuration",
        ),
    ],
)
def test_a_sync_has_to_be_told_of_the_other_mode(
    tree: Path, config: Config, given: Given, step: str
) -> None:
    root = Root(str(tree))
    session = SimpleNamespace(root=root, given=given)
    found = _to_keep(session, config, ["i386-xen_pvh"])  # type: ignore[arg-type]
    conf = root.outside("/etc/xen-guest-bootloader/conf.d/50-targets.toml")
    assert found.step(MAKE) == step.format(conf=conf, sync="xen-guest-bootloader sync")
