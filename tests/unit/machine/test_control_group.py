# SPDX-License-Identifier: GPL-3.0-or-later
"""Which unit a process belongs to, in each layout of control groups."""

import pytest

from guest_hooks.machine import control_group
from guest_hooks.machine.root import Root

UNIT = "a.service"


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        pytest.param("0::/system.slice/a.service\n", UNIT, id="unified"),
        pytest.param("2:cpu:/b.service\n1:name=systemd:/system.slice/a.service\n", UNIT, id="old"),
        pytest.param("1:name=systemd:/system.slice/a.service\n0::/\n", UNIT, id="old-and-new"),
        pytest.param(
            "1:name=systemd:/init.scope\n0::/system.slice/a.service\n", UNIT, id="not-in-the-old"
        ),
        pytest.param("2:cpu:/\n1:name=systemd:/\n0::/\n", "", id="none"),
        pytest.param(None, "", id="unreadable"),
    ],
)
def test_the_unit_of_a_process(
    text: str | None, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Root, "read_text", lambda _root, _path: text)
    assert control_group.own_unit() == unit
