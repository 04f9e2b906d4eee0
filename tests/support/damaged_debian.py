# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole Debian guests that will not boot, or not as they should: a damage a row, and the findings
that must be all there are; and unusual ones that boot, of which nothing may be found.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import boot_damage, kernels, second_stages

PV, PVH = "x86_64-xen", "i386-xen_pvh"
PV_FILE, PVH_FILE = "boot/xen/pvboot-x86_64.elf", "boot/xen/pvhboot-i386.elf"
BRIDGE = "boot/xen/pvhboot-i386.linux"
OTHER_UUID = boot_damage.OTHER_UUID
FIRST = "### BEGIN /etc/grub.d/10_linux ###\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The tree at `top`; `release` is its newest kernel, `uuid` its one file system."""

    top: Path
    release: str
    uuid: str

    @property
    def kernel(self) -> Path:
        """The default entry's kernel."""
        return self.top / f"boot/vmlinuz-{self.release}"

    @property
    def initrd(self) -> Path:
        """The default entry's initial RAM disk."""
        return self.top / f"boot/initrd.img-{self.release}"

    @property
    def menu(self) -> Path:
        """grub.cfg."""
        return self.top / "boot/grub/grub.cfg"


Damage = Callable[[Guest], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One damaged guest: `what` was done to it, all codes that are found, and whether it boots.

    `config` is a line of the configuration, as of a host with another stage 1.
    """

    what: str
    damage: Damage
    codes: str
    target: str = PV
    boots: bool = False
    config: str = ""


def edit(path: str, old: str, new: str) -> Damage:
    """`old` replaced in a file; it must be there."""

    def damage(guest: Guest) -> None:
        file = guest.top / path.format(release=guest.release)
        text = file.read_text()
        assert old.format(uuid=guest.uuid, release=guest.release) in text, old
        file.write_text(text.replace(old.format(uuid=guest.uuid, release=guest.release), new))

    return damage


def menu(old: str, new: str) -> Damage:
    """`old` replaced in grub.cfg."""
    return edit("boot/grub/grub.cfg", old, new)


def root(value: str) -> Damage:
    """Another root= in every entry."""
    return menu("root=UUID={uuid}", value)


def put(path: str, data: bytes) -> Damage:
    """Other bytes in a file; `path` may name the release."""

    def damage(guest: Guest) -> None:
        file = guest.top / path.format(release=guest.release)
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(data)

    return damage


def kernel(data: bytes) -> Damage:
    """Another file in the kernel's place."""
    return put("boot/vmlinuz-{release}", data)


def initrd(data: bytes) -> Damage:
    """Another file in the initrd's place."""
    return put("boot/initrd.img-{release}", data)


def small(compression: str = "xz", **options: object) -> Damage:
    """A small kernel with other notes, another width or another packing."""

    def damage(guest: Guest) -> None:
        notes = options.get("notes", kernels.LINUX_NOTES)
        assert isinstance(notes, Mapping)
        bits = int(str(options.get("bits", 64)))
        elf = kernels.vmlinux(notes=notes, release=guest.release, bits=bits)
        loads_high = bool(options.get("loads_high", True))
        guest.kernel.write_bytes(
            kernels.bzimage(elf, compression, release=guest.release, loads_high=loads_high)
        )

    return damage


def initrd_of(*modules: str, compression: str = "zstd", other: str = "") -> Damage:
    """A small initrd with these modules, of the kernel or of an `other` one."""
    return lambda guest: guest.initrd.write_bytes(
        kernels.initrd(other or guest.release, modules, compression)
    )


def cut(path: str, length: int) -> Damage:
    """The first `length` bytes of a file, or all but the last -`length`."""

    def damage(guest: Guest) -> None:
        file = guest.top / path.format(release=guest.release)
        file.write_bytes(file.read_bytes()[:length])

    return damage


def flip(path: str) -> Damage:
    """One other byte in the middle."""

    def damage(guest: Guest) -> None:
        file = guest.top / path.format(release=guest.release)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)

    return damage


def gone(*paths: str) -> Damage:
    """Files that are removed."""

    def damage(guest: Guest) -> None:
        for path in paths:
            (guest.top / path.format(release=guest.release)).unlink()

    return damage


def both(*damages: Damage) -> Damage:
    """One damage after the other."""

    def damage(guest: Guest) -> None:
        for each in damages:
            each(guest)

    return damage


def entry(*lines: str, before: str = "") -> Damage:
    """Another entry in front of the menu's, which the default then means."""

    def damage(guest: Guest) -> None:
        body = "\n".join(lines).format(
            kernel=f"/boot/{guest.kernel.name}", initrd=f"/boot/{guest.initrd.name}"
        )
        search = f"search --no-floppy --fs-uuid --set=root {guest.uuid}"
        menu(FIRST, f"{FIRST}{before}menuentry 'First' {{\n{search}\n{body}\n}}\n")(guest)

    return damage


def saved(name: str) -> Damage:
    """A saved default as grub-set-default leaves it, which the menu reads."""
    block = f"# GRUB Environment Block\nsaved_entry={name}\n".encode().ljust(1024, b"#")
    return both(
        put("boot/grub/grubenv", block), menu('set default="0"', 'set default="${saved_entry}"')
    )


def core(target: str, path: str, *, config: str = "", modules: tuple[str, ...] = ()) -> Damage:
    """A second stage that grub-mkimage makes of the guest's own modules."""

    def damage(guest: Guest) -> None:
        text = config.format(uuid=guest.uuid)
        names = modules or ("ext2", "part_msdos", "part_gpt", "search_fs_uuid", "normal", "linux")
        image = second_stages.core_image(
            target, config=text, modules=names, lib=str(guest.top / "usr/lib/grub")
        )
        (guest.top / path).write_bytes(image)

    return damage


def zeros(path: str) -> Damage:
    """Blocks of a file that were never written, as after a power cut."""

    def damage(guest: Guest) -> None:
        data = bytearray((guest.top / path).read_bytes())
        data[16384 : 16384 + 32768] = bytes(32768)
        (guest.top / path).write_bytes(data)

    return damage


def stage1_image(guest: Guest) -> None:
    """A host's stage 1 where its second stage is looked for."""
    image = second_stages.core_image(PV, memdisk=second_stages.STAGE1_CFG, config="")
    (guest.top / PV_FILE).write_bytes(image)


def no_modules(guest: Guest) -> None:
    """/lib/modules without the kernel's directory; the test puts it back."""
    directory = guest.top / f"usr/lib/modules/{guest.release}"
    directory.rename(directory.with_name("away"))


def put_back_modules(guest: Guest) -> None:
    """Undo `no_modules`."""
    away = guest.top / "usr/lib/modules/away"
    if away.exists():
        away.rename(away.with_name(guest.release))


def a_directory(guest: Guest) -> None:
    guest.kernel.unlink()
    guest.kernel.mkdir()


def a_link(guest: Guest) -> None:
    guest.kernel.unlink()
    guest.kernel.symlink_to("vmlinuz-0")


def an_elf_file(guest: Guest) -> None:
    guest.kernel.write_bytes(kernels.vmlinux(release=guest.release))


def of_the_other_width(guest: Guest) -> None:
    shutil.copy2(guest.top / PVH_FILE, guest.top / PV_FILE)


def legacy(*lines: str) -> Damage:
    """A menu.lst of one entry."""
    return put("boot/grub/menu.lst", "\n".join([*lines, ""]).encode())


HYPERVISOR = (
    "{loader} /boot/xen-4.17-amd64.gz placeholder no-real-mode edd=off",
    "{module} {{kernel}} placeholder root=/dev/xvda ro",
    "{module} --nounzip {{initrd}}",
)
"""As grub's 20_linux_xen writes it."""


def hypervisor(loader: str, module: str) -> Damage:
    """Its entry is the default, as the package xen-hypervisor makes it."""
    lines = [line.format(loader=loader, module=module) for line in HYPERVISOR]
    return both(put("boot/xen-4.17-amd64.gz", b"a hypervisor"), entry(*lines))


LEGACY, PYGRUB = 'stage1 = "grub-legacy"', 'stage1 = "pygrub"'
START = f"kernel (hd0)/{PV_FILE}"
BAD_PREFIX = "search.fs_uuid {uuid} root \nset prefix=($root)'/grub2'\n"
BAD_UUID = f"search.fs_uuid {OTHER_UUID} root \nset prefix=($root)'/boot/grub'\n"
LOAD = "search.fs_uuid {uuid} root \nset prefix=($root)'/boot/grub'\n"
TEXT = b"no kernel\n" * 9000
NOT_OURS = "second-stage-core-image-differs second-stage-modules-missing"
"""Of a second stage with other modules, which /boot/grub/<target>/core.elf does not follow."""
SUPERUSER = "set superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.x\n"
ROWS = (
    Row("the kernel is deleted", gone("boot/vmlinuz-{release}"), "kernel-missing"),
    Row("the kernel is a link to what is gone", a_link, "kernel-missing"),
    Row("the kernel is a directory", a_directory, "kernel-unreadable"),
    Row("the kernel is empty", kernel(b""), "kernel-invalid"),
    Row("the kernel is all zeros", kernel(bytes(1 << 20)), "kernel-invalid"),
    Row("the kernel is a text", kernel(TEXT), "kernel-invalid"),
    Row("the kernel is a text", kernel(TEXT), "kernel-invalid", PVH),
    Row("the kernel is cut off", cut("boot/vmlinuz-{release}", 4_000_000), "kernel-truncated"),
    Row("the kernel is cut off", cut("boot/vmlinuz-{release}", 4_000_000), "kernel-truncated", PVH),
    Row("one byte of the kernel is another", flip("boot/vmlinuz-{release}"), "kernel-damaged"),
    Row("one byte of the kernel is another", flip("boot/vmlinuz-{release}"), "kernel-damaged", PVH),
    Row("the kernel is packed with zstd", small("zstd"), "kernel-compression"),
    Row("the kernel is packed with LZ4", small("lz4"), "kernel-compression"),
    Row("the kernel is packed with LZO", small("lzo"), "kernel-compression"),
    Row("the kernel was built without Xen", small(notes={}), "kernel-no-notes"),
    Row("the kernel runs as PVH alone", small(notes=boot_damage.without(1)), "kernel-no-pv"),
    Row("the kernel runs as PV alone", small(notes=boot_damage.without(18)), "kernel-no-pvh", PVH),
    Row("the kernel has 32 bits", small(bits=32), "kernel-width"),
    Row("the kernel is an unpacked ELF file", an_elf_file, "kernel-not-bzimage", PVH),
    Row("the kernel is an old zImage", small(loads_high=False), "kernel-protocol", PVH),
    Row("the kernel's modules are gone", no_modules, "kernel-modules-missing", boots=True),
    Row("the initrd is deleted", gone("boot/initrd.img-{release}"), "initrd-missing"),
    Row("the initrd is deleted", gone("boot/initrd.img-{release}"), "initrd-missing", PVH),
    Row("the initrd is empty", initrd(b""), "initrd-empty"),
    Row("the initrd is all zeros", initrd(bytes(1 << 20)), "initrd-empty"),
    Row("the initrd is a text", initrd(TEXT), "initrd-invalid"),
    Row("the initrd is cut off", cut("boot/initrd.img-{release}", -500_000), "initrd-damaged"),
    Row("one byte of the initrd is another", flip("boot/initrd.img-{release}"), "initrd-damaged"),
    Row(
        "the initrd is another kernel's",
        initrd_of("xen-blkfront", "ext4", other="6.1.0-1-amd64"),
        "initrd-of-another-kernel",
    ),
    Row("the initrd lacks xen-blkfront", initrd_of("ext4"), "initrd-lacks-module"),
    Row("the initrd lacks the root's driver", initrd_of("xen-blkfront"), "initrd-lacks-module"),
    Row(
        "the initrd is packed as the kernel can't unpack",
        both(
            edit("boot/config-{release}", "CONFIG_RD_LZMA=y\n", ""),
            initrd_of("xen-blkfront", "ext4", compression="lzma"),
        ),
        "initrd-compression",
    ),
    Row(
        "the menu names no initrd",
        menu("\tinitrd\t", "\techo\t"),
        "initrd-none",
    ),
    Row("grub.cfg is deleted", gone("boot/grub/grub.cfg"), "grub-cfg-missing"),
    Row("grub.cfg is empty", cut("boot/grub/grub.cfg", 0), "grub-cfg-invalid"),
    Row("grub.cfg is cut off", cut("boot/grub/grub.cfg", 3000), "grub-cfg-invalid"),
    Row("grub.cfg is cut off", cut("boot/grub/grub.cfg", 3000), "grub-cfg-invalid", PVH),
    Row("grub.cfg has a brace too many", menu(FIRST, FIRST + "}\n"), "grub-cfg-invalid"),
    Row("grub.cfg has no entry", put("boot/grub/grub.cfg", b"set timeout=5\n"), "menu-empty"),
    Row(
        "the menu was made on another disk, and which disks there are is not known",
        menu("{uuid}", OTHER_UUID),
        "entry-file-system-missing",
        boots=True,
    ),
    Row(
        "the entries look for another file system",
        menu("--set=root {uuid}", f"--set=root {OTHER_UUID}"),
        "entry-file-system-missing",
        boots=True,
    ),
    Row(
        "a hypervisor's entry is the default",
        hypervisor("multiboot2", "module2"),
        "entry-command-missing",
    ),
    Row(
        "a hypervisor's entry is the default",
        hypervisor("multiboot2", "module2"),
        "entry-starts-hypervisor",
        PVH,
    ),
    Row(
        "an ARM hypervisor's entry is the default",
        hypervisor("xen_hypervisor", "xen_module"),
        "entry-command-missing",
    ),
    Row(
        "the default is started by linux16",
        entry("linux16 {kernel} root=/dev/xvda", "initrd16 {initrd}"),
        "entry-command-missing",
    ),
    Row(
        "the default is a chain loader's",
        entry("chainloader +1"),
        "entry-command-missing",
    ),
    Row("the default entry does nothing", entry("true"), "entry-starts-nothing"),
    Row("the default entry halts", entry("halt"), "entry-starts-nothing"),
    Row("the menu waits for ever", menu("set timeout=5", "set timeout=-1"), "menu-waits"),
    Row("the menu waits for ever", menu("set timeout=5", "set timeout=-1"), "menu-waits", PVH),
    Row("the menu asks for a user", menu(FIRST, SUPERUSER + FIRST), "menu-asks"),
    Row("the menu asks for a user", menu(FIRST, SUPERUSER + FIRST), "menu-asks", PVH),
    Row(
        "grubenv is damaged",
        put("boot/grub/grubenv", bytes(1024)),
        "grubenv-invalid",
        boots=True,
    ),
    Row("the saved default is gone", saved("long ago"), "default-not-there", boots=True),
    Row("the root is a loop device", root("root=/dev/loop0p1"), "root-of-builder"),
    Row("the root is the builder's nbd", root("root=/dev/nbd0p1"), "root-of-builder"),
    Row("the root is a mapped loop", root("root=/dev/mapper/loop0p1"), "root-of-builder"),
    Row("the root is virtio's vda1", root("root=/dev/vda1"), "root-of-another-bus"),
    Row("the root is SCSI's sda1", root("root=/dev/sda1"), "root-of-another-bus"),
    Row("the root is an NVMe disk", root("root=/dev/nvme0n1p1"), "root-of-another-bus", PVH),
    Row(
        "the root has virtio's name",
        root("root=/dev/disk/by-id/virtio-disk0-part1"),
        "root-of-another-bus",
    ),
    Row("the menu names no root", root("quiet"), "root-none"),
    Row(
        "fstab mounts virtio's vdb1",
        put("etc/fstab", b"/dev/vdb1 /srv ext4 defaults 0 2\n"),
        "fstab-disk-missing",
    ),
    Row(
        "fstab has virtio's swap",
        put("etc/fstab", b"/dev/vdb2 none swap sw 0 0\n"),
        "fstab-swap-missing",
        boots=True,
    ),
    Row(
        "the menu resumes from virtio's vda5",
        menu("root=UUID={uuid} ro", "root=/dev/xvda ro resume=/dev/vda5"),
        "resume-missing",
        boots=True,
    ),
    Row(
        "the initrd resumes from virtio's vda5",
        put("etc/initramfs-tools/conf.d/resume", b"RESUME=/dev/vda5\n"),
        "resume-missing",
        boots=True,
    ),
    Row(
        "the boot's words go to a screen",
        menu("root=UUID={uuid} ro", "root=/dev/xvda ro console=tty0 console=ttyS0"),
        "console-elsewhere",
        boots=True,
    ),
    Row(
        "the boot's words go to a screen",
        menu("root=UUID={uuid} ro", "root=/dev/xvda ro console=hvc0 console=tty0"),
        "console-elsewhere",
        PVH,
        boots=True,
    ),
    Row("the second stage is deleted", gone(PV_FILE), "second-stage-missing", boots=True),
    Row(
        "the second stage and grub.cfg are deleted",
        gone(PV_FILE, "boot/grub/grub.cfg"),
        "grub-cfg-missing second-stage-missing stage1-finds-nothing",
    ),
    Row(
        "the second stage is cut off",
        cut(PV_FILE, 300_000),
        "second-stage-note-malformed second-stage-truncated",
        boots=True,
    ),
    Row("the second stage is a text", put(PV_FILE, TEXT), "second-stage-not-elf", boots=True),
    Row("the second stage has zeros in its code", zeros(PV_FILE), "second-stage-kernel-zeroed"),
    Row(
        "the second stage is that of PVH",
        of_the_other_width,
        "second-stage-class-mismatch second-stage-machine-mismatch second-stage-note-missing"
        " second-stage-pvh-image",
        boots=True,
    ),
    Row("the second stage is a host's stage 1", stage1_image, "second-stage-stage-1-image"),
    Row(
        "the second stage looks for another disk",
        core(PV, PV_FILE, config=BAD_UUID),
        f"{NOT_OURS} second-stage-uuid-mismatch",
    ),
    Row(
        "the second stage looks in another directory",
        core(PV, PV_FILE, config=BAD_PREFIX),
        f"{NOT_OURS} second-stage-prefix-mismatch",
    ),
    Row(
        "the second stage has no driver of /boot",
        core(PV, PV_FILE, config=LOAD, modules=("search_fs_uuid", "normal", "linux")),
        NOT_OURS,
    ),
    Row(
        "the second stage is as grub-install alone makes it",
        core(PV, PV_FILE, config=LOAD),
        NOT_OURS,
        boots=True,
    ),
    Row(
        "the PVH bridge is cut off",
        cut(BRIDGE, 300_000),
        "second-stage-bridge-damaged",
        PVH,
    ),
    Row(
        "the PVH second stage is deleted",
        gone(PVH_FILE),
        "second-stage-copy-differs second-stage-missing",
        PVH,
        boots=True,
    ),
    Row(
        "the host starts pvgrub-legacy, and there is no menu.lst",
        both(),
        "legacy-menu-missing",
        config=LEGACY,
    ),
    Row("menu.lst has no title", legacy("timeout 1", START), "legacy-menu-empty", config=LEGACY),
    Row("menu.lst waits", legacy("title a", START), "legacy-menu-waits", config=LEGACY),
    Row(
        "menu.lst names no drive",
        legacy("timeout 1", "title a", f"kernel /{PV_FILE}"),
        "legacy-drive",
        config=LEGACY,
    ),
    Row(
        "menu.lst names a kernel that is gone",
        legacy("timeout 1", "title a", "kernel (hd0)/boot/vmlinuz-1"),
        "legacy-kernel-missing",
        config=LEGACY,
    ),
    Row(
        "the host starts pygrub, and grub.cfg sets its root to (xen/xvda)",
        entry("set root=(xen/xvda)", "linux {kernel} root=/dev/xvda ro", "initrd {initrd}"),
        "pygrub-refuses",
        config=PYGRUB,
    ),
)


def custom(*lines: str) -> Damage:
    """A hand-written menu of the admin's, which grub.cfg reads last, and its entry the default."""

    def damage(guest: Guest) -> None:
        body = "\n".join(lines).format(
            uuid=guest.uuid,
            kernel=f"/boot/{guest.kernel.name}",
            initrd=f"/boot/{guest.initrd.name}",
        )
        text = f"set default=mine\nmenuentry 'By hand' --id mine {{\n{body}\n}}\n"
        (guest.top / "boot/grub/custom.cfg").write_text(text)

    return damage


def packed_otherwise(guest: Guest) -> None:
    """The same initrd, packed with gzip and behind an early archive."""
    names = ("xen-blkfront", "ext4")
    guest.initrd.write_bytes(kernels.initrd(guest.release, names, "gzip"))


def hypervisor_beside(guest: Guest) -> None:
    """Its entry, with XEN_OVERRIDE_GRUB_DEFAULT=0."""
    hypervisor("multiboot2", "module2")(guest)
    menu('set default="0"', 'set default="1"')(guest)


LINUX = ("linux {kernel} root=UUID={uuid} ro console=hvc0", "initrd {initrd}")
WAITS_FOR_NONE = (
    f"/dev/vdb1 /a ext4 nofail 0 2\nUUID={OTHER_UUID} /b ext4 noauto 0 2\n"
    "server:/e /e nfs defaults 0 0\ntmpfs /tmp tmpfs defaults 0 0\n"
)
WELL = (
    Row("Debian as it was installed", both(), "", boots=True),
    Row("Debian as it was installed", both(), "", PVH, boots=True),
    Row(
        "the default is a menu by hand",
        custom("search -u --set=root {uuid}", *LINUX),
        "",
        boots=True,
    ),
    Row(
        "the default is a menu by hand",
        custom("search -u --set=root {uuid}", *LINUX),
        "",
        PVH,
        boots=True,
    ),
    Row(
        "the menu by hand looks for a file",
        custom("search -f --set=root {kernel}", *LINUX),
        "",
        boots=True,
    ),
    Row("a hypervisor's entry is not the default", hypervisor_beside, "", boots=True),
    Row("a hypervisor's entry is not the default", hypervisor_beside, "", PVH, boots=True),
    Row("the saved default is there", saved("0"), "", boots=True),
    Row("grubenv is not there", gone("boot/grub/grubenv"), "", boots=True),
    Row("the root is /dev/xvda", root("root=/dev/xvda"), "", boots=True),
    Row("the root is a label", root("root=LABEL=root"), "", PVH, boots=True),
    Row("the root is on NFS", root("root=/dev/nfs"), "", boots=True),
    Row(
        "fstab's disks are waited for by nobody",
        put("etc/fstab", WAITS_FOR_NONE.encode()),
        "",
        boots=True,
    ),
    Row(
        "the menu has a password, and its entries are free",
        both(
            menu(FIRST, SUPERUSER + FIRST),
            menu("--class gnu-linux ", "--class gnu-linux --unrestricted "),
        ),
        "",
        boots=True,
    ),
    Row("the kernel is packed with gzip", small("gzip"), "", boots=True),
    Row("the kernel is packed with zstd", small("zstd"), "", PVH, boots=True),
    Row("the kernel is packed with LZ4", small("lz4"), "", PVH, boots=True),
    Row("the initrd is packed with gzip", packed_otherwise, "", boots=True),
    Row(
        "a file of the kernel's configuration is gone",
        gone("boot/config-{release}"),
        "",
        boots=True,
    ),
    Row(
        "menu.lst starts the second stage",
        legacy("timeout 1", "title a", START),
        "",
        config=LEGACY,
        boots=True,
    ),
    Row("the host starts pygrub", both(), "", config=PYGRUB, boots=True),
    Row(
        "the host starts this package's stage 1",
        both(),
        "",
        PVH,
        config='stage1 = "own"',
        boots=True,
    ),
)
