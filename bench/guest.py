# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest that is measured: a Debian tree with three kernels, in which dpkg has installed and
byte-compiled the package.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import measure
from bench.measure import Command, Figure
from tests.support import debian_package, images
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_layouts import other_kernels
from tests.support.debian_tree import BOOTABLE, Kind, Suite, tarball, unpack

TARGET = "x86_64-xen"
SIZE = 2400 * images.MIB
PROGRAM = "/usr/bin/xen-guest-bootloader"
MEASURE = "/root/measure.py"
# On a disk as a guest has one: what waits for it is measured, too. /tmp may be in memory.
WORK = "/var/tmp"  # noqa: S108 - the directory, and no file name that could be guessed


@contextmanager
def installed(
    suite: Suite = Suite.BOOKWORM, *, has_one_kernel: bool = False
) -> Iterator[ChrootGuest]:
    """A PV guest of `suite` with `measure.py`, strace and three kernels in it, or with Debian's
    one.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench.", dir=WORK) as directory,
        images.disk(Path(directory), "ext4", size=SIZE) as disk,
        ExitStack() as stack,
    ):
        deb = debian_package.build(Path(directory))
        unpack(tarball(suite, Kind.MINIMAL, extra=BOOTABLE), disk.top)
        guest = ChrootGuest(disk=disk, work=Path(directory), suite=suite, platform=Platform.PV)
        stack.enter_context(_run_in_memory(disk.top / "run"))
        guest.write("/etc/fstab", f"UUID={disk.root.uuid} / ext4 defaults 0 1\n")
        guest.write(MEASURE, Path(measure.__file__).read_text())
        guest.apt("install", "--no-install-recommends", "strace")
        if not has_one_kernel:
            other_kernels(disk.top)
            own_by_dpkg(disk.top)
        # So that the UUID can be changed while it is mounted (tune2fs(8), metadata_csum_seed).
        images.tool("tune2fs", "-O", "metadata_csum_seed", disk.root.device)
        guest.path(f"/root/{deb.name}").write_bytes(deb.read_bytes())
        guest.run("dpkg", "--install", f"/root/{deb.name}")
        compiled = list(
            guest.path("/usr/lib/python3/dist-packages/guest_hooks").glob("__pycache__/*.pyc")
        )
        assert compiled, "dpkg has not compiled the package"
        yield guest


def measured(
    guest: ChrootGuest, commands: dict[str, Command], *, runs: int, warm: bool = True
) -> dict[str, Figure]:
    """What `measure.in_turns` finds inside the guest."""
    order = {
        "commands": {name: asdict(each) for name, each in commands.items()},
        "runs": runs,
        "warm": warm,
    }
    done = guest.run("python3", MEASURE, stdin=json.dumps(order))
    return {name: Figure(**figure) for name, figure in json.loads(done.stdout).items()}


def forget(*tops: Path) -> None:
    """Drop these files, and those below, from the page cache."""
    for top in tops:
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.is_file():
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


@contextmanager
def _run_in_memory(directory: Path) -> Iterator[None]:
    """As in every booted guest: grub-install in staging calls fsync two hundred times."""
    images.tool("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(directory))
    try:
        yield
    finally:
        images.tool("umount", str(directory))


def own_by_dpkg(top: Path) -> None:
    """Have dpkg know the copies of Debian's kernel as it knows the kernels of three packages."""
    kernels = sorted(path.name for path in (top / "boot").glob("vmlinuz-*"))
    (sums,) = (
        path
        for path in top.glob("var/lib/dpkg/info/linux-image-*.md5sums")
        if "vmlinuz" in path.read_text()
    )
    digest, _ = next(
        line.split("  boot/vmlinuz") for line in sums.read_text().splitlines() if "vmlinuz" in line
    )
    known = sums.read_text()
    lines = (f"{digest}  boot/{name}\n" for name in kernels)
    sums.write_text(known + "".join(line for line in lines if line not in known))
