# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen's names and numbers of disks, and the names that pv-grub gives them."""

from collections.abc import Sequence

import pytest

from guest_hooks.formats import vbd


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("xvda", 51712, id="whole-disk"),
        pytest.param("/dev/xvda1", 51713, id="partition"),
        pytest.param("xvdb", 51728, id="second-disk"),
        pytest.param("xvdp15", 51967, id="last-of-the-short-form"),
        pytest.param("xvdq", 268439552, id="sixteenth-disk"),
        pytest.param("xvda16", 268435472, id="sixteenth-partition"),
        pytest.param("xvdtq37", 268572709, id="two-letters"),
    ],
)
def test_the_number_of_a_name(name: str, number: int) -> None:
    found = vbd.parse(name)
    assert found is not None
    assert found.number == number


@pytest.mark.parametrize("name", ["sda1", "/dev/mapper/vg-root", "xvd", "xvda1p2", "/dev/xvd1"])
def test_names_that_are_not_xens(name: str) -> None:
    assert vbd.parse(name) is None


@pytest.mark.parametrize(
    ("device", "disks", "drive"),
    [
        pytest.param("/dev/xvda1", ["/dev/xvda"], "(hd0,0)", id="partition-of-a-disk"),
        pytest.param("/dev/xvda", ["/dev/xvda"], "(hd0)", id="whole-disk"),
        pytest.param("/dev/xvda1", ["/dev/xvda1"], "(hd0)", id="lone-whole-disk-with-a-number"),
        pytest.param("/dev/xvda2", ["/dev/xvda1", "/dev/xvda2"], "(hd1)", id="xen-tools-two-disks"),
        pytest.param("/dev/xvda2", ["/dev/xvda2", "/dev/xvda1"], "(hd1)", id="order-is-by-number"),
        pytest.param("/dev/xvdb3", ["/dev/xvdb", "/dev/xvda"], "(hd1,2)", id="second-disk"),
        pytest.param(
            "/dev/xvdc1", ["/dev/xvdc", "/dev/xvda"], "(hd1,0)", id="letters-do-not-count"
        ),
        pytest.param("/dev/xvdq", ["/dev/xvdb", "/dev/xvdq"], "(hd1)", id="longer-numbers-last"),
        pytest.param("/dev/xvdb1", ["/dev/xvda"], "", id="on-no-disk"),
        pytest.param("/dev/sda1", ["/dev/sda"], "", id="no-disk-of-xens"),
        pytest.param(
            "/dev/xvda1", ["/dev/xvda", "/dev/sda"], "", id="beside-a-disk-of-another-kind"
        ),
    ],
)
def test_what_pv_grub_calls_it(device: str, disks: Sequence[str], drive: str) -> None:
    assert vbd.legacy_drive(device, disks) == drive
