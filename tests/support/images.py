# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images as a guest has them: made, mounted by loop devices, copied as a power cut leaves
them, read by GRUB's drivers.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.freezing import thaw
from tests.support.loops import attached

MIB = 1 << 20
SIZE = 320 * MIB  # the least that mkfs.xfs makes is 300 MiB
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "vfat": ["mkfs.vfat"],
}
TABLES = {"mbr": ("dos", "msdos"), "gpt": ("gpt", "gpt")}


def tool(*command: str, stdin: str = "") -> str:
    """What `command` said; fails with its words."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """One file system of an image; `device` is its loop device, `partition` its number or 0 on
    a whole disk.
    """

    image: Path
    fs_type: str
    device: str
    uuid: str
    drive: str
    partition: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Images as they were at one moment, each with the file system GRUB would read."""

    boot: Filesystem
    has_own_boot: bool

    def cat(self, path: str) -> bytes | None:
        """What GRUB reads at `path` (as the guest names it), or None where it finds nothing
        there.
        """
        if self.has_own_boot:
            path = path.removeprefix("/boot")
        command = ["grub-fstest", str(self.boot.image), "cat", f"({self.boot.drive}){path}"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mounted guest disk: `top` is the guest's `/`; `boot` is the file system that holds
    /boot, which may be `root` itself.
    """

    top: Path
    root: Filesystem
    boot: Filesystem
    scratch: Path

    def copy(self) -> Copy:
        """The still mounted disk as the power cut of this moment would leave it: what was given
        to the device, and no more.
        """
        # The backing file, not the loop device: that one's page cache shows what was never sent to
        # the disk.
        target = self.scratch / "raw-copy.img"
        tool("cp", "--sparse=always", str(self.boot.image), str(target))
        boot = Filesystem(
            image=target,
            fs_type=self.boot.fs_type,
            device="",
            uuid=self.boot.uuid,
            drive=self.boot.drive,
            partition=self.boot.partition,
        )
        return Copy(boot=boot, has_own_boot=self.boot is not self.root)

    @property
    def given(self) -> Copy:
        """What was given to the device, as `copy`, read where it is: of a file at a time no copy
        is a better picture, and making one takes longer than reading all of /boot.
        """
        return Copy(boot=self.boot, has_own_boot=self.boot is not self.root)

    def grub_cat(self, path: str) -> bytes | None:
        """What GRUB would read at `path` after a power cut now, or None where it finds nothing."""
        return self.given.cat(path)


@contextmanager
def disk(
    directory: Path,
    fs_type: str,
    *,
    size: int = SIZE,
    table: str = "",
    boot: str = "",
    boot_size: int = SIZE,
    is_closed: bool = True,
    keep: bool = False,
) -> Iterator[Disk]:
    """A new disk under `directory`, mounted; unmounted and detached at the end, and its image
    files gone unless `keep` is set.

    `table` is empty for a file system on the whole disk, `mbr` or `gpt` for partitions. `boot` is
    the file system type of an own /boot: partition 1, before the root's, or without a table a
    second image. `is_closed` is for `mounted`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    top = directory / "guest"
    top.mkdir(exist_ok=True)
    with ExitStack() as stack:
        if not keep:
            stack.callback(_remove_images, directory)
        if table:
            sizes = [boot_size, size] if boot else [size]
            types = [boot, fs_type] if boot else [fs_type]
            image = directory / "disk.img"
            made = [
                stack.enter_context(
                    _filesystem(
                        image, kind, extent=extent, partition=number, table=TABLES[table][1]
                    )
                )
                for number, (kind, extent) in enumerate(
                    zip(types, _partitioned(image, table, sizes), strict=True), 1
                )
            ]
            root, boot_fs = made[-1], made[0]
        else:
            root = stack.enter_context(_filesystem(_blank(directory / "disk.img", size), fs_type))
            boot_fs = (
                stack.enter_context(_filesystem(_blank(directory / "boot.img", boot_size), boot))
                if boot
                else root
            )
        stack.enter_context(mounted(root, top, is_closed=is_closed))
        if boot:
            (top / "boot").mkdir()
            stack.enter_context(mounted(boot_fs, top / "boot", is_closed=is_closed))
        yield Disk(top=top, root=root, boot=boot_fs, scratch=directory)


@contextmanager
def copied_disk(
    directory: Path, image: Path, fs_type: str, *, keep: bool = False
) -> Iterator[Disk]:
    """A copy under `directory` of a whole disk's image, mounted; gone at the end unless `keep`
    is set. It has the same UUID.
    """
    top = directory / "guest"
    top.mkdir(parents=True)
    with ExitStack() as stack:
        if not keep:
            stack.callback(_remove_images, directory)
        copy = directory / "disk.img"
        tool("cp", "--sparse=always", str(image), str(copy))
        device = stack.enter_context(attached(copy))
        root = Filesystem(
            image=copy, fs_type=fs_type, device=device, uuid=_uuid(device), drive="loop0"
        )
        stack.enter_context(mounted(root, top))
        yield Disk(top=top, root=root, boot=root, scratch=directory)


@contextmanager
def mounted(
    filesystem: Filesystem, at: Path, *, options: str = "defaults", is_closed: bool = True
) -> Iterator[Path]:
    """Mount `filesystem` at `at` for the block; a file system that a failed test left frozen is
    thawed.

    With `is_closed`, XFS lets root alone in and may be frozen: otherwise each of its barriers takes
    half a minute.
    """
    tool("mount", "-t", filesystem.fs_type, "-o", options, filesystem.device, str(at))
    try:
        if is_closed:
            close_xfs(at)
        yield at
    finally:
        thaw(at)
        subprocess.run(["umount", "-R", str(at)], capture_output=True, timeout=60, check=False)
        if os.path.ismount(at):
            subprocess.run(
                ["umount", "-R", "--lazy", str(at)], capture_output=True, timeout=60, check=False
            )


def close_xfs(top: Path) -> None:
    """Let root alone into the file system that is mounted at `top`, where it is an XFS that can
    be written.
    """
    status = os.statvfs(top)
    if (
        not status.f_flag & os.ST_RDONLY
        and tool("stat", "--file-system", "--format=%T", str(top)) == "xfs"
    ):
        top.chmod(0o700)


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Let no room be left on the file system of `directory` for the block."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(MIB))
    try:
        yield
    finally:
        filler.unlink()


def _blank(image: Path, size: int) -> Path:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(size)
    return image


def _partitioned(image: Path, table: str, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Give `image` a partition table; start and length of each partition in bytes."""
    _blank(image, sum(sizes) + 4 * MIB)
    lines = [f"label: {TABLES[table][0]}", *(f"size={size // 512}" for size in sizes)]
    tool("sfdisk", "--quiet", str(image), stdin="\n".join(lines) + "\n")
    partitions = json.loads(tool("sfdisk", "--json", str(image)))["partitiontable"]["partitions"]
    return [(part["start"] * 512, part["size"] * 512) for part in partitions]


@contextmanager
def _filesystem(
    image: Path,
    fs_type: str,
    *,
    extent: tuple[int, int] = (0, 0),
    partition: int = 0,
    table: str = "",
) -> Iterator[Filesystem]:
    with attached(image, start=extent[0], length=extent[1]) as device:
        tool(*MKFS[fs_type], device)
        drive = f"loop0,{table}{partition}" if partition else "loop0"
        yield Filesystem(
            image=image,
            fs_type=fs_type,
            device=device,
            uuid=_uuid(device),
            drive=drive,
            partition=partition,
        )


def _uuid(device: str) -> str:
    return tool("blkid", "-p", "-s", "UUID", "-o", "value", device)


def _remove_images(directory: Path) -> None:
    for image in directory.glob("*.img"):
        image.unlink()
