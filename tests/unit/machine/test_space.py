# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes room, where there is none."""

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import space
from guest_hooks.machine.root import Root


@pytest.mark.parametrize(
    ("root", "path", "hint"),
    [
        (Root(), "/boot/xen", "{kernels}see: df /boot/xen"),
        (Root(), "/run", "make room: df /run"),
        (Root("/mnt"), "/boot/xen", "make room: df /mnt/boot/xen"),
        (Root("/my guest"), "/boot/xen", "make room: df '/my guest/boot/xen'"),
    ],
)
def test_what_makes_room(root: Root, path: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "free", lambda _root, _path: 0)
    with pytest.raises(LackingError, match="has no room") as raised:
        space.require(root, path, 1)
    assert raised.value.hint == hint.format(kernels=space.OLD_KERNELS)
