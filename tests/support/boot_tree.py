# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's /boot as Debian leaves it, made of small kernels and initrds, with the verdict that
`status` would give.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from guest_hooks.config import Config
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.model import (
    BootFilesystem,
    FileStatus,
    GrubCfgStatus,
    Guest,
    Mode,
    Problem,
    State,
    Status,
    TargetStatus,
)
from guest_hooks.paths import BOOT_XEN
from guest_hooks.preflight.next_boot import preflight
from guest_hooks.preflight.result import Preflight
from guest_hooks.problems.table import TABLE
from guest_hooks.survey import menu_kernels
from guest_hooks.targets import TARGETS
from guest_hooks.volumes import BlockDevice
from tests.support import kernels
from tests.support.checkout import CHECKOUT

UUID = "0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10"
RELEASES = ("6.1.0-56-amd64", "6.1.0-44-amd64", "6.1.0-40-amd64")
"""Those in tests/data/grub_cfg/bookworm-*.cfg, the default's first."""
NEWEST = RELEASES[0]
OPTIONS = "".join(
    f"CONFIG_{name}={value}\n"
    for name, value in (
        *(
            (name, "y")
            for name in ("XEN_PV", "XEN_PVH", "BLK_DEV_INITRD", "RD_GZIP", "RD_ZSTD", "RD_XZ")
        ),
        *(
            (name, "m")
            for name in (
                "XEN_BLKDEV_FRONTEND",
                "EXT4_FS",
                "XFS_FS",
                "BTRFS_FS",
                "BLK_DEV_DM",
                "DM_CRYPT",
            )
        ),
    )
)
OWN_DISK = BlockDevice(path="/dev/xvda", type="disk")
OWN = BlockDevice(
    path="/dev/xvda1",
    type="part",
    fs_type="ext4",
    uuid=UUID,
    part_uuid="5a4f3c1e-01",
    label="root",
    parent="xvda",
)
COMMANDS = {
    Mode.PV: "*search: search\ninitrd: linux\nlinux: linux\nmodule: linux\nmultiboot: linux\n",
    Mode.PVH: "*search: search\ninitrd: linux\nlinux: linux\nmodule: multiboot\n"
    "module2: multiboot2\nmultiboot: multiboot\nmultiboot2: multiboot2\n",
}
"""Of command.lst what is of interest here; a test compares the loaders with GRUB's own."""
_CACHE: dict[tuple[object, ...], bytes] = {}


def kernel(release: str = NEWEST, compression: str = "xz") -> bytes:
    """A small kernel, made once."""
    return _once(
        ("kernel", release, compression),
        lambda: kernels.bzimage(
            compression=compression, release=release, elf=kernels.vmlinux(release=release)
        ),
    )


def initrd(
    release: str = NEWEST,
    modules: tuple[str, ...] = ("xen-blkfront", "ext4", "dm-mod"),
    compression: str = "zstd",
) -> bytes:
    """A small initrd, made once."""
    return _once(
        ("initrd", release, modules, compression),
        lambda: kernels.initrd(release, modules, compression),
    )


def handover(program: str = "/bin/true") -> bytes:
    """What the package's script puts at the top of grub.cfg where the package's program is
    `program`.
    """
    script = (
        (CHECKOUT / "grub.d/00_chainload_xen_pvh")
        .read_bytes()
        .replace(menu_kernels.PROGRAM.encode(), program.encode())
    )
    return _once(
        ("handover", program),
        lambda: subprocess.run(["sh"], input=script, check=True, capture_output=True).stdout,
    )


def _once(key: tuple[object, ...], make: "object") -> bytes:
    if key not in _CACHE:
        assert callable(make)
        _CACHE[key] = make()
    return _CACHE[key]


@dataclass(slots=True)
class OtherDisks:
    """What grub-fstest would say of the raw devices of this guest: the paths on each, those of
    directories with a slash behind them; a device that is not named fails.
    """

    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    contents: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def __call__(self, command: Sequence[str], **_: object) -> Completed:
        assert command[0] == "grub-fstest"
        device, where = command[1], command[3].removeprefix("(loop0)")
        self.asked.append(device)
        if command[2] == "cat":
            if (device, where) not in self.contents:
                raise CommandError(f"grub-fstest {device} failed")
            return Completed(code=0, stdout=self.contents[device, where], stderr=b"")
        if device not in self.files:
            raise CommandError(f"grub-fstest {device} failed")
        names = []
        for path in self.files[device]:
            above, name = os.path.split(path.rstrip("/"))
            if f"{above.rstrip('/')}/" == where:
                names.append(f"{name}/" if path.endswith("/") else name)
        return Completed(code=0, stdout=" ".join(names).encode(), stderr=b"")


@dataclass(slots=True)
class BootTree:
    """One guest: its tree at `top`, and what the machine below would tell of it."""

    top: Path
    mode: Mode = Mode.PV
    config: Config = field(default_factory=Config)
    boot: BootFilesystem = field(
        default_factory=lambda: BootFilesystem(
            mountpoint="/",
            device="/dev/xvda1",
            fs_type="ext4",
            fs_uuid=UUID,
            grub_dir="/boot/grub",
            modules=("ext2", "part_msdos"),
        )
    )
    devices: tuple[BlockDevice, ...] = (OWN_DISK, OWN)
    disks: OtherDisks = field(default_factory=OtherDisks)
    target: TargetStatus | None = None
    grub_cfg: GrubCfgStatus | None = None

    def __post_init__(self) -> None:
        row = next(target for target in TARGETS.values() if target.mode is self.mode)
        path = row.path(row.arches[0])
        paths = (path, f"{BOOT_XEN}/{row.bridge}") if row.bridge else (path,)
        self.target = TargetStatus(
            target=row.name,
            required=True,
            state=State.CURRENT,
            files=tuple(FileStatus(path=each, state=State.CURRENT) for each in paths),
            fs_uuid=UUID,
        )
        self.grub_cfg = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.CURRENT)
        for release in RELEASES:
            self.write(f"boot/vmlinuz-{release}", kernel(release))
            self.write(f"boot/initrd.img-{release}", initrd(release))
            self.write(f"boot/config-{release}", OPTIONS.encode())
            self.write(f"lib/modules/{release}/modules.builtin", b"kernel/fs/binfmt_script.ko\n")
        self.write(
            "boot/grub/grub.cfg",
            handover() + (CHECKOUT / "tests/data/grub_cfg/bookworm-simple.cfg").read_bytes(),
        )
        self.write(f"{row.lib_dir.lstrip('/')}/command.lst", COMMANDS[self.mode].encode())
        self.write("usr/lib/systemd/systemd", b"systemd")
        (self.top / "usr/lib/systemd/systemd").chmod(0o755)
        (self.top / "sbin").mkdir(exist_ok=True)
        (self.top / "sbin/init").symlink_to("/usr/lib/systemd/systemd")
        self.write("boot/grub/grubenv", b"# GRUB Environment Block\n".ljust(1024, b"#"))
        self.write("etc/fstab", f"UUID={UUID} / ext4 errors=remount-ro 0 1\n".encode())
        for each in paths:
            self.write(each.lstrip("/"), b"second stage")

    def write(self, path: str, data: bytes) -> None:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def read(self, path: str) -> bytes:
        return (self.top / path).read_bytes()

    def remove(self, path: str) -> None:
        (self.top / path).unlink()

    def edit_menu(self, old: str, new: str) -> None:
        path = self.top / "boot/grub/grub.cfg"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def own_boot(self) -> None:
        """/boot becomes a file system of its own: GRUB's paths lose their first part."""
        self.boot = replace(self.boot, mountpoint="/boot", grub_dir="/grub")
        self.edit_menu("/boot/vmlinuz", "/vmlinuz")
        self.edit_menu("/boot/initrd", "/initrd")

    def second_stage(self, state: State, code: str, message: str = "it is not right") -> None:
        """The verdict on the second stage."""
        assert self.target is not None
        self.target = replace(
            self.target,
            state=state,
            problems=(Problem(code=TABLE[code], message=message, hint="sync"),),
        )

    def preflight(self) -> Preflight:
        assert self.target is not None
        guest = Guest(mode=self.mode, bits=64)
        status = Status(guest=guest, boot=self.boot, targets=(self.target,), grub_cfg=self.grub_cfg)
        memory = Memory(Root(str(self.top)))
        answer = preflight(
            Root(str(self.top)),
            self.config,
            status,
            devices=self.devices,
            memory=memory,
            run=self.disks,
        )
        memory.save()
        return answer
