# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reading of fstab beside systemd's own generator: the same disks are waited for."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import fstab
from tests.support import images

GENERATOR = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
REQUIRES = "local-fs.target.requires"
"""What is in here fails local-fs.target, which starts emergency.target: systemd.special(7)."""
OPTIONS = (
    "defaults",
    "nofail",
    "noauto",
    "x-systemd.automount",
    "nofail,x-systemd.automount",
    "_netdev",
    "rw,noatime,x-systemd.device-timeout=5",
    "noauto,x-systemd.required-by=local-fs.target",
    "errors=remount-ro",
)


@pytest.mark.parametrize("options", OPTIONS)
def test_what_the_boot_waits_for(tmp_path: Path, options: str) -> None:
    line = f"UUID=11111111-2222-3333-4444-555555555555 /data ext4 {options} 0 2\n"
    (tmp_path / "fstab").write_text(line)
    made = [tmp_path / name for name in ("normal", "early", "late")]
    for directory in made:
        directory.mkdir()
    subprocess.run(
        [GENERATOR, *map(str, made)],
        env={"SYSTEMD_FSTAB": str(tmp_path / "fstab")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    (entry,) = fstab.disks(line)
    is_required = (made[0] / REQUIRES / "data.mount").is_symlink()
    assert entry.is_waited_for is is_required or "required-by" in options


@pytest.mark.parametrize(
    ("what", "becomes_writable"),
    [
        pytest.param("UUID=11111111-2222-3333-4444-555555555555", False, id="uuid-that-is-gone"),
        pytest.param("LABEL=gone", False, id="label-that-is-gone"),
        pytest.param("/dev/vda1", True, id="a-path-is-not-looked-at"),
    ],
)
def test_what_a_remount_of_the_root_makes_of_its_line(
    tmp_path: Path, what: str, becomes_writable: bool
) -> None:
    """As systemd-remount-fs has mount(8) do it: from read-only, with the line of /etc/fstab."""
    with images.disk(tmp_path / "disk", "ext4") as disk:
        top, table = str(disk.top), tmp_path / "fstab"
        images.tool("mount", "-o", "remount,ro", disk.root.device, top)
        table.write_text(f"{what} {top} ext4 defaults 0 1\n")
        done = subprocess.run(
            ["mount", top, "-o", "remount"],
            env={"LIBMOUNT_FSTAB": str(table), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode == 0) is becomes_writable
        assert images.is_writable(disk.top) is becomes_writable
