# SPDX-License-Identifier: GPL-3.0-or-later
"""How a whole Debian guest is damaged: what a row of `damaged_debian` or `unusual_debian` does."""

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


def words(more: str) -> Damage:
    """More words for Linux in every entry, whose root is the disk by its name."""
    return menu("root=UUID={uuid} ro", f"root=/dev/xvda ro {more}")


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


def rescue(guest: Guest) -> None:
    """As `systemctl set-default rescue.target` leaves it."""
    link = guest.top / "etc/systemd/system/default.target"
    link.unlink(missing_ok=True)
    link.symlink_to("/lib/systemd/system/rescue.target")


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


whole_disks = both(
    root("root=/dev/xvda2"),
    put("etc/fstab", b"/dev/xvda2 / ext4 noatime 0 1\n/dev/xvda1 none swap sw 0 0\n"),
)
"""The names that xen-tools gives a guest's file system and its swap."""
qubes = both(
    root("root=/dev/mapper/dmroot"),
    put("etc/fstab", b"/dev/mapper/dmroot / ext4 defaults 1 1\n/dev/xvdc1 swap swap sw 0 0\n"),
)
"""As a template of Qubes has it."""


def two_disks(drive: str) -> Damage:
    """Those, and a menu.lst that takes the second stage from `drive`."""
    return both(whole_disks, legacy("timeout 1", "title a", f"kernel {drive}/{PV_FILE}"))


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
SUPERUSER = "set superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.x\n"
