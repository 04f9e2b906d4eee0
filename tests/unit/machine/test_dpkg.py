# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg knows of the files that a package has installed."""

import hashlib
from pathlib import Path

import pytest

from guest_hooks.machine import dpkg
from guest_hooks.machine.root import Root
from guest_hooks.targets import TARGETS
from tests.support.boot_tree import BootTree


def test_nothing_is_made_of_damaged_modules(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    where = TARGETS["x86_64-xen"].lib_dir
    files = {f"{where}/{name}": name.encode() for name in ("kernel.img", "moddep.lst", "a.mod")}
    sums = {path: hashlib.md5(data, usedforsecurity=False) for path, data in files.items()}
    rows = "".join(f"{digest.hexdigest()}  {path[1:]}\n" for path, digest in sums.items())
    tree.write("var/lib/dpkg/info/grub-xen-bin.md5sums", rows.encode())
    root = Root(str(tree.top))

    def altered(*names: str) -> tuple[str, ...]:
        changed = {f"{where}/{name}": b"damaged" for name in names}
        found = dpkg.altered(root, "grub-xen-bin", files | changed)
        return tuple(path.removeprefix(f"{where}/") for path in found)

    assert altered() == ()
    assert altered("kernel.img") == ("kernel.img",)
    assert altered("unknown.mod") == ()
    assert altered("kernel.img", "a.mod") == ()  # another build was laid over this one
    tree.remove("var/lib/dpkg/info/grub-xen-bin.md5sums")
    assert altered("kernel.img") == ()


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param(("image",), ("image",), id="bookworm-and-trixie"),
        pytest.param(
            ("base", "binary", "headers", "image", "modules"),
            ("image", "binary", "base", "modules"),
            id="forky-and-later",
        ),
        pytest.param((), ("image",), id="no-package"),
    ],
)
def test_a_kernel_is_of_these_packages(
    tmp_path: Path, recorded: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    tree = BootTree(tmp_path)
    for kind in recorded:
        tree.write(f"var/lib/dpkg/info/linux-{kind}-7.2.13+deb14-amd64.list", b"/.\n")
    found = dpkg.kernel_packages(Root(str(tree.top)), "7.2.13+deb14-amd64")
    assert found == tuple(f"linux-{kind}-7.2.13+deb14-amd64" for kind in expected)
