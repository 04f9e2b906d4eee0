# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ours, and what only looks so: whose file it is, and who may replace it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.targets import TARGETS
from tests.support import second_stages
from tests.support.outside_guest import FILES, OutsideGuest
from tests.support.second_stages import LOAD_MODS, with_segment

PV, PV32, PVH = TARGETS
PV_FILE = FILES[PV][0]

pytestmark = pytest.mark.usefixtures("as_it_should_be")


def legacy_like(target: str) -> bytes:
    """A Xen image of another program: it has no module block, and does not say what GRUB 2's
    kernel says.
    """
    image = with_segment(second_stages.core_image(target), LOAD_MODS, type=0)
    return image.replace(b"grub rescue> ", b"GRUB 0.97>   ")


@pytest.mark.parametrize(
    ("target", "make"),
    [
        pytest.param(
            PV, lambda: second_stages.standalone_image(PV, "set timeout=1\n"), id="standalone-64"
        ),
        pytest.param(
            PV32,
            lambda: second_stages.standalone_image(PV32, "set timeout=1\n"),
            id="standalone-32",
        ),
        pytest.param(
            PVH, lambda: second_stages.standalone_image(PVH, "set timeout=1\n"), id="standalone-pvh"
        ),
        pytest.param(PV, lambda: legacy_like(PV), id="legacy-like"),
        pytest.param(
            PV,
            lambda: second_stages.core_image(
                PV, config="set timeout=3\nconfigfile (xen/xvda)/my.cfg\n"
            ),
            id="own-mkimage",
        ),
    ],
)
def test_what_is_not_ours_wants_adopt(
    tree: OutsideGuest, target: str, make: Callable[[], bytes]
) -> None:
    path = tree.boot_xen(FILES[target][0])
    image = make()
    path.write_bytes(image)
    found = tree.status(target, code=3)
    assert (found.states()[target], found.codes()[target][0]) == ("foreign", "foreign")
    refused = tree.sync(f"--target={target}", code=4)
    assert path.read_bytes() == image
    assert refused.json["changed"] == []
    assert "--adopt" in refused.json["failures"][0]["hint"]
    assert "--adopt" in refused.stderr
    assert tree.sync(f"--target={target}", "--force", code=4).states()[target] == "foreign"
    adopted = tree.sync(f"--target={target}", "--adopt")
    assert adopted.states()[target] == "current"
    assert "foreign" in adopted.json["changed"][0]["why"]


def test_an_image_of_the_admin_s_own_can_be_accepted(tree: OutsideGuest, tmp_path: Path) -> None:
    path = tree.boot_xen(PV_FILE)
    before = path.read_bytes()
    image = second_stages.standalone_image(PV, "set timeout=1\n")
    path.write_bytes(image)
    (tmp_path / "own.toml").write_text("accept_foreign = true\n")
    words = (f"--target={PV}", "--config", str(tmp_path / "own.toml"))
    done = tree.sync(*words)
    assert path.read_bytes() == image
    assert done.stderr == ""
    target = tree.run("status", "--json", *words, code=None).json["targets"][0]
    assert (target["state"], target["accepted"], target["problems"]) == ("foreign", True, [])
    tree.sync(*words, "--adopt")
    assert path.read_bytes() == before


def test_what_adopt_has_replaced_can_be_put_back(tree: OutsideGuest) -> None:
    one = f"--target={PVH}"
    path = tree.boot_xen(FILES[PVH][0])
    newest, image = path.read_bytes(), second_stages.standalone_image(PVH, "set timeout=1\n")
    path.write_bytes(image)
    tree.sync(one, "--adopt")
    put_back = tree.run("rollback", one)
    assert path.read_bytes() == image
    assert put_back.stdout.endswith(f" {one.replace('=', ' ')} --adopt\n")
    assert tree.sync(one, "--automatic").json["changed"] == []
    assert path.read_bytes() == image
    held = tree.status(PVH)
    assert (held.states()[PVH], held.codes()[PVH]) == ("foreign", ["held-by-rollback"])
    tree.run("rollback", one)
    assert path.read_bytes() == newest
    assert tree.status(PVH).codes()[PVH] == []


def test_what_is_not_ours_does_not_keep_the_others_from_being_mended(tree: OutsideGuest) -> None:
    image = second_stages.standalone_image(PV, "set timeout=1\n")
    tree.boot_xen(PV_FILE).write_bytes(image)
    tree.boot_xen("pvboot-i386.elf").unlink()
    assert tree.sync(code=4).states() == {PV: "foreign", PV32: "current", PVH: "current"}


def test_a_block_that_was_lost_is_no_other_program(tree: OutsideGuest) -> None:
    """GRUB's own kernel without its modules is a damaged core image; nobody has to be asked."""
    tree.boot_xen(PV_FILE).write_bytes(
        with_segment(tree.boot_xen(PV_FILE).read_bytes(), LOAD_MODS, type=0)
    )
    assert tree.status(PV).states()[PV] == "invalid"
    assert tree.sync().states()[PV] == "current"
