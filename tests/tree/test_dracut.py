# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of an initrd that dracut of each release made by itself, when a kernel came."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import initrd
from guest_hooks.preflight.links import initrds
from tests.support.debian_tree import Kind, Suite, tarball

PACKAGES = (
    *("linux-image-amd64", "systemd-sysv", "udev", "dracut", "lvm2", "cryptsetup", "mdadm"),
    *("xfsprogs", "btrfs-progs", "zstd"),
)


# Forky's dracut is sid's.
@pytest.mark.parametrize("suite", [Suite.BOOKWORM, Suite.TRIXIE, Suite.SID])
def test_an_initrd_of_dracut_s(tmp_path: Path, suite: Suite) -> None:
    tree = tarball(suite, Kind.MINIMAL, extra=PACKAGES)
    scripts = ("dracut-initqueue", "dracut-cmdline")
    names = [f"./usr/lib/dracut/modules.d/*/{name}.sh" for name in scripts]
    command = ["tar", "-xf", str(tree), "-C", str(tmp_path), "--wildcards", "./boot/initrd.img-*"]
    subprocess.run([*command, *names], check=True, timeout=300)
    (path,) = (tmp_path / "boot").iterdir()
    found = initrd.read(path.read_bytes())
    assert found.is_complete
    assert found.is_by_dracut
    assert not found.names_root
    assert found.kernels == (path.name.removeprefix("initrd.img-"),)
    assert {"xen_blkfront", "ext4", "xfs", "btrfs", "dm_mod", "dm_crypt"} <= found.modules
    assert {"lvm", "mdadm"} <= found.programs
    if suite is Suite.BOOKWORM:  # trixie's is in a package of its own, which cryptsetup recommends
        assert "systemd-cryptsetup" in found.programs
    modules = tmp_path / "usr/lib/dracut/modules.d"
    waits, reads = (next(modules.glob(f"*/{name}.sh")).read_text() for name in scripts)
    assert f'warn "{initrds.DRACUT_WAITS},' in waits
    assert f"die \"{initrds.DRACUT_KNOWS_NO} 'root=$root'\"" in reads
