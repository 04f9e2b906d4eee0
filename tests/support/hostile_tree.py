# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian tree that an enemy may change, over one that was unpacked once, and the program run on
it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support import images, loops
from tests.support.checkout import CACHE, CHECKOUT
from tests.support.debian_tree import Kind, Suite, tarball, unpack

STAGE = "boot/xen/pvboot-x86_64.elf"


def unpacked() -> Path:
    """A tree that is unpacked once, and only read."""
    directory = CACHE / "trees" / "unpacked-bookworm"
    if not directory.exists():
        partial = directory.with_suffix(f".{os.getpid()}")
        partial.mkdir()
        unpack(tarball(Suite.BOOKWORM, Kind.MINIMAL), partial)
        partial.rename(directory)
    return directory


@contextmanager
def _overlaid(layers: Path, top: Path) -> Iterator[Path]:
    """The unpacked tree under `layers`/upper, and `layers`/boot.img as its /boot."""
    with ExitStack() as stack:
        top.mkdir()
        shutil.rmtree(layers / "work", ignore_errors=True)
        (layers / "work").mkdir()
        options = f"lowerdir={unpacked()},upperdir={layers}/upper,workdir={layers}/work"
        images.tool("mount", "-t", "overlay", "-o", options, "overlay", str(top))
        stack.callback(images.tool, "umount", "--lazy", "--recursive", str(top))
        device = stack.enter_context(loops.attached(layers / "boot.img"))
        filesystem = images.Filesystem(
            image=layers / "boot.img", fs_type="ext4", device=device, uuid="", drive="loop0"
        )
        stack.enter_context(images.mounted(filesystem, top / "boot"))
        yield top


@contextmanager
def _layers(directory: Path) -> Iterator[Path]:
    """A directory in memory for what a tree has of its own."""
    directory.mkdir()
    images.tool("mount", "-t", "tmpfs", "layers", str(directory))
    yield directory
    images.tool("umount", "--lazy", str(directory))


@contextmanager
def synced(directory: Path) -> Iterator[Path]:
    """Layers in which a sync has been to /boot."""
    with _layers(directory / "synced") as layers:
        (layers / "upper").mkdir()
        with (layers / "boot.img").open("wb") as file:
            file.truncate(64 * images.MIB)
        images.tool(*images.MKFS["ext4"], str(layers / "boot.img"))
        with _overlaid(layers, layers / "tree") as top:
            done = tool(top, "sync", "--no-update-grub")
            assert done.returncode == 0, done.stderr
            (top / "boot/grub/grub.cfg").write_text("set timeout=1\n")
            (top / "etc/xen-guest-bootloader/conf.d").mkdir(parents=True)
        yield layers


@contextmanager
def hostile_tree(synced: Path, directory: Path) -> Iterator[Path]:
    """A Debian tree of its own over the unpacked one, with a /boot that a sync has been to."""
    with _layers(directory / "layers") as layers:
        there = (f"{synced}/upper", f"{synced}/boot.img")
        images.tool("cp", "--archive", "--sparse=always", *there, str(layers))
        with _overlaid(layers, directory / "tree") as top:
            yield top


def tool(top: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program on the tree `top`, for one target."""
    command = [
        "/usr/bin/python3",
        "-m",
        "guest_hooks",
        "--root",
        str(top),
        *words,
        "--target",
        "x86_64-xen",
    ]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=90,
        check=False,
    )


def cleared(path: Path) -> Path:
    """`path`, with nothing there and its directory made."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
