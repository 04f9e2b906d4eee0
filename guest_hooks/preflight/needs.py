# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel is held against: what this guest's mode and its root file system ask of it.
Pure.
"""

from collections.abc import Mapping

from guest_hooks.boot_images import KernelFacts
from guest_hooks.formats.compression import Compression
from guest_hooks.model import Mode
from guest_hooks.preflight.steps import Steps
from guest_hooks.records import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A module without which the root file system is out of reach, and the kernel option that
    builds it in; the `console` says so in its own words, if not in those of a root.
    """

    module: str
    option: str
    what: str
    console: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a kernel must be able to do here.

    `widths` are those of the PV second stages; drivers and programs are needed to reach the root;
    `by_grub` says that GRUB loads the kernel (pygrub leaves that to libxenguest, which unpacks
    more), `loader_is_certain` that this is known; `running` is the release of the kernel that runs
    now, `root` what the entry names as its root.
    """

    mode: Mode
    widths: frozenset[int] = frozenset({64})
    drivers: tuple[Driver, ...] = ()
    programs: tuple[str, ...] = ()
    loader_is_certain: bool = False
    by_grub: bool = True
    running: str = ""
    root: str = ""
    steps: Steps = field(default_factory=Steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel with what belongs to it: its options (empty: no config file), its built-in
    modules, whether it has others, the Debian packages that it is of.
    """

    path: str
    facts: KernelFacts | None
    options: Mapping[str, str]
    builtin: frozenset[str] = frozenset()
    has_modules: bool = True
    packages: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """The kernel's release; by the name of the file if the kernel doesn't say."""
        if self.facts is not None and self.facts.release:
            return self.facts.release
        return self.path.rpartition("/")[2].partition("-")[2] or "VERSION"


XEN_DISK = Driver(
    module="xen_blkfront", option="XEN_BLKDEV_FRONTEND", what="the driver of Xen's disks"
)
FILE_SYSTEMS = {
    name: Driver(module=module, option=option, what=f"the root file system's driver ({name})")
    for name, module, option in (
        ("ext2", "ext4", "EXT4_FS"),
        ("ext3", "ext4", "EXT4_FS"),
        ("ext4", "ext4", "EXT4_FS"),
        ("xfs", "xfs", "XFS_FS"),
        ("btrfs", "btrfs", "BTRFS_FS"),
        ("f2fs", "f2fs", "F2FS_FS"),
    )
}
DEVICE_MAPPER = Driver(module="dm_mod", option="BLK_DEV_DM", what="the device mapper")
CRYPT = Driver(module="dm_crypt", option="DM_CRYPT", what="the driver of encrypted disks")
RAIDS = {
    f"raid{level}": Driver(module=module, option=option, what=f"the driver of RAID {level}")
    for level, module, option in (
        (0, "raid0", "MD_RAID0"),
        (1, "raid1", "MD_RAID1"),
        (10, "raid10", "MD_RAID10"),
        *((level, "raid456", "MD_RAID456") for level in (4, 5, 6)),
    )
}
"""By the type that lsblk(8) gives an array."""
UNPACKERS = {
    Compression.GZIP: "RD_GZIP",
    Compression.BZIP2: "RD_BZIP2",
    Compression.LZMA: "RD_LZMA",
    Compression.XZ: "RD_XZ",
    Compression.LZO: "RD_LZO",
    Compression.LZ4: "RD_LZ4",
    Compression.ZSTD: "RD_ZSTD",
}
_DRIVERS = (XEN_DISK, DEVICE_MAPPER, CRYPT, *FILE_SYSTEMS.values(), *RAIDS.values())
OPTIONS = frozenset(
    {"XEN_PV", "XEN_PVH", "BLK_DEV_INITRD", *UNPACKERS.values()}
    | {driver.option for driver in _DRIVERS}
)
"""The options of a kernel's configuration that are asked for."""
