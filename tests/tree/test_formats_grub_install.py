# SPDX-License-Identifier: GPL-3.0-or-later
"""Second stages as grub-install itself makes them, on a file system of its own and on the root."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS
from tests.support import grub_file, images, libxenguest
from tests.support.second_stages import fits


def installed(top: Path, target: str, *options: str) -> bytes:
    """The core image that a plain grub-install leaves."""
    command = [
        "grub-install",
        f"--target={target}",
        f"--boot-directory={top / 'boot'}",
        "--modules=normal",
        *options,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return (top / "boot/grub" / target / "core.elf").read_bytes()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("boot", "grub_dir"), [("", "/boot/grub"), ("ext4", "/grub")], ids=["on-root", "own-boot"]
)
def test_by_uuid(tmp_path: Path, target: str, boot: str, grub_dir: str) -> None:
    with images.disk(
        tmp_path, "ext4", size=64 * images.MIB, boot=boot, boot_size=64 * images.MIB
    ) as disk:
        (disk.top / "boot").mkdir(exist_ok=True)
        image = installed(disk.top, target)
        uuid = images.tool("blkid", "-s", "UUID", "-o", "value", disk.boot.device).strip()
    stage = second_stage.read(image)
    assert fits(image) == (target,)
    assert second_stage.is_from_grub_install(stage)
    assert stage.core is not None
    assert stage.core.fs_uuid == uuid
    assert f"set prefix=($root)'{grub_dir}'\n" in stage.core.config


@pytest.mark.parametrize("target", TARGETS)
def test_with_every_option_that_changes_the_image(tmp_path: Path, target: str) -> None:
    """What both judges take is taken; the keys are those that were given."""
    keys = [b"\x99" * size for size in (625, 626, 628)]
    for number, key in enumerate(keys):
        (tmp_path / f"key-{number}").write_bytes(key)
    (tmp_path / "device.dtb").write_bytes(b"\xd0\x0d\xfe\xed" + bytes(9))
    rows = {
        "keys": [f"--pubkey={tmp_path}/key-{number}" for number in range(len(keys))],
        "tree": [f"--dtb={tmp_path}/device.dtb", "-k", f"{tmp_path}/key-0"],
        "shim": ["--disable-shim-lock"],
        "file": ["--force-file-id"],
        "few": ["--install-modules=normal ext2"],
    }
    with (
        images.disk(tmp_path, "ext4", size=64 * images.MIB) as disk,
        libxenguest.running(tmp_path) as xen,
    ):
        (disk.top / "boot").mkdir()
        made = {name: installed(disk.top, target, *options) for name, options in rows.items()}
        judged = {
            name: (
                fits(image) == (target,),
                second_stage.is_from_grub_install(second_stage.read(image)),
                xen.accepts(image, TARGETS[target].mode),
                grub_file.accepts(image, target, tmp_path),
            )
            for name, image in made.items()
        }
    assert judged == dict.fromkeys(rows, (True, True, True, True))
    cores = {name: second_stage.read(image).core for name, image in made.items()}
    assert {
        name: core.public_keys for name, core in cores.items() if core and core.public_keys
    } == {
        "keys": tuple(keys),
        "tree": (keys[0],),
    }
