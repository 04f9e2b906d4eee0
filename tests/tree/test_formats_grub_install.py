"""Second stages as grub-install itself makes them, on a file system of its own and on the root."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS
from tests.support import images


def installed(top: Path, target: str) -> bytes:
    """The core image that a plain grub-install leaves."""
    command = ["grub-install", f"--target={target}", f"--boot-directory={top / 'boot'}", "--modules=normal"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return (top / "boot/grub" / target / "core.elf").read_bytes()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("boot", "grub_dir"), [("", "/boot/grub"), ("ext4", "/grub")], ids=["on-root", "own-boot"])
def test_by_uuid(tmp_path: Path, target: str, boot: str, grub_dir: str) -> None:
    with images.disk(tmp_path, "ext4", size=64 * images.MIB, boot=boot, boot_size=64 * images.MIB) as disk:
        (disk.top / "boot").mkdir(exist_ok=True)
        image = installed(disk.top, target)
        uuid = images.tool("blkid", "-s", "UUID", "-o", "value", disk.boot.device).strip()
    stage = second_stage.read(image)
    assert second_stage.fits(image) == (target,)
    assert second_stage.is_from_grub_install(stage)
    assert stage.core is not None
    assert stage.core.fs_uuid == uuid
    assert f"set prefix=($root)'{grub_dir}'\n" in stage.core.config
