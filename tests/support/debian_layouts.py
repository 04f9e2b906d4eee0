# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks with a whole Debian, of which preflight has nothing to say."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guest_hooks.survey import menu_kernels, pv_kernels
from guest_hooks.targets import HANDOVER
from tests.support import images
from tests.support.checkout import CHECKOUT
from tests.support.debian_tree import BOOTABLE, Kind, Suite, tarball, unpack
from tests.support.outside_guest import OutsideGuest

OTHER_KERNELS = ("6.1.0-11-amd64", "6.1.0-9-amd64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One disk, as for `images.disk`; `kind` FULL has a cloud image's kernel."""

    suite: Suite
    fs_type: str = "ext4"
    table: str = ""
    boot: str = ""
    kind: Kind = Kind.MINIMAL


LAYOUTS = {
    "bookworm-btrfs": (Layout(suite=Suite.BOOKWORM, fs_type="btrfs"), "i386-xen_pvh"),
    "bookworm-own-boot": (Layout(suite=Suite.BOOKWORM, boot="ext4", table="mbr"), "x86_64-xen"),
    "trixie-pvh": (Layout(suite=Suite.TRIXIE), "i386-xen_pvh"),
    "bookworm-cloud-image": (
        Layout(suite=Suite.BOOKWORM, kind=Kind.FULL, table="gpt"),
        "i386-xen_pvh",
    ),
    "trixie-cloud-image": (
        Layout(suite=Suite.TRIXIE, kind=Kind.FULL, table="gpt"),
        "i386-xen_pvh",
    ),
    "sid-cloud-image": (Layout(suite=Suite.SID, kind=Kind.FULL, table="gpt"), "i386-xen_pvh"),
    "trixie-xfs-own-boot": (
        Layout(suite=Suite.TRIXIE, fs_type="xfs", boot="ext4", table="gpt"),
        "i386-xen_pvh",
    ),
    "bookworm-xfs": (Layout(suite=Suite.BOOKWORM, fs_type="xfs"), "x86_64-xen"),
}


@contextmanager
def debian(
    directory: Path,
    layout: Layout,
    target: str,
    *,
    prepare: Callable[[Path], object] = lambda _top: None,
) -> Iterator[OutsideGuest]:
    """A whole Debian with its kernel, on a disk of this layout, after `prepare` and a sync of
    `target` that also made grub.cfg.
    """
    size = 1400 if layout.kind is Kind.FULL else 1800
    with images.disk(
        directory, layout.fs_type, size=size * images.MIB, table=layout.table, boot=layout.boot
    ) as disk:
        extra = () if layout.kind is Kind.FULL else BOOTABLE
        unpack(tarball(layout.suite, layout.kind, extra=extra), disk.top)
        lines = [f"UUID={disk.root.uuid} / {layout.fs_type} defaults 0 1"]
        if layout.boot:
            lines.append(f"UUID={disk.boot.uuid} /boot {layout.boot} defaults 0 2")
        (disk.top / "etc/fstab").write_text("\n".join(lines) + "\n")
        if layout.suite is Suite.BOOKWORM:
            other_kernels(disk.top)
        handing_over(disk.top)
        prepare(disk.top)
        tree = OutsideGuest(disk=disk, suite=layout.suite)
        tree.run("sync", f"--target={target}")
        yield tree


def handing_over(top: Path) -> None:
    """What grub-mkconfig finds of this package where it is installed."""
    shutil.copy2(CHECKOUT / "grub.d/00_chainload_xen_pvh", top / HANDOVER.lstrip("/"))
    shutil.copy2(CHECKOUT / "grub.d/99_xen_pv_kernels", top / pv_kernels.SCRIPT.lstrip("/"))
    program = top / menu_kernels.PROGRAM.lstrip("/")
    program.touch()
    program.chmod(0o755)


def other_kernels(top: Path) -> None:
    """Two more kernels for the menu: copies of Debian's under other names."""
    (image,) = (top / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    for other in OTHER_KERNELS:
        for name in ("vmlinuz", "initrd.img", "config"):
            shutil.copy2(top / f"boot/{name}-{release}", top / f"boot/{name}-{other}")
