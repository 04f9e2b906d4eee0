# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight predicts is what the console of a guest on real Xen says."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import kernels, seen_on_xen, xen_dom0, xen_guest, xen_lab
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_layouts import OTHER_KERNELS, Layout, debian
from tests.support.debian_tree import Suite
from tests.support.outside_guest import OutsideGuest
from tests.support.xen_lab import GuestRun

TARGET = "x86_64-xen"
MEMORY = 640
DISK = "320M"
SECONDS = 600
"""For Linux to unpack its initrd and look for its root, under emulation on a busy machine."""
AT_ROOT = "Target filesystem doesn't have requested /sbin/init"
"""What initramfs-tools says once the root file system is mounted, which here holds /boot alone."""
DEFAULTS = (
    'GRUB_TIMEOUT=0\nGRUB_DISABLE_RECOVERY=true\nGRUB_CMDLINE_LINUX="console=hvc0 rootdelay=3"\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The /boot of one guest while a damage is done to it: its default kernel and initrd, and
    grub.cfg.
    """

    kernel: Path
    initrd: Path
    menu: Path

    def edit_menu(self, old: str, new: str) -> None:
        self.menu.write_text(self.menu.read_text().replace(old, new))


@dataclass(frozen=True, slots=True)
class Case:
    """A damage, and whether the guest boots in spite of it."""

    damage: Callable[[Boot], object]
    boots: bool = False


def without_driver(boot: Boot) -> None:
    """Debian's own initrd, in which the disk's driver has another name than depmod's indexes
    give it.
    """
    archive = subprocess.run(
        ["zstd", "-dc"], input=boot.initrd.read_bytes(), capture_output=True, check=True
    ).stdout
    boot.initrd.write_bytes(
        kernels.pack(archive.replace(b"xen-blkfront.ko\0", b"xen-blkfronX.ko\0"), "gzip")
    )


def default_entry(block: str, *, before: str = "") -> Callable[[Boot], object]:
    """Another entry in front of the menu's, which the default then means."""

    def damage(boot: Boot) -> None:
        text = boot.menu.read_text().partition("### BEGIN /etc/grub.d/10_linux ###\n")[2]
        search = next(line.strip() for line in text.splitlines() if "search --no-floppy" in line)
        block_here = block.format(kernel=boot.kernel.name, initrd=boot.initrd.name)
        boot.edit_menu(
            "### BEGIN /etc/grub.d/10_linux ###\n",
            "### BEGIN /etc/grub.d/10_linux ###\n"
            f"{before}menuentry First {{\n{search}\n{block_here}\n}}\n",
        )

    return damage


def of_virtio(boot: Boot) -> None:
    text = boot.menu.read_text()
    root = next(word for word in text.split() if word.startswith("root=UUID="))
    boot.edit_menu(root, "root=/dev/vda1")


HYPERVISOR = (
    "multiboot2 /boot/xen-4.17-amd64.gz placeholder no-real-mode edd=off\n"
    "module2 /boot/{kernel} placeholder root=/dev/xvda ro\n"
    "module2 --nounzip /boot/{initrd}"
)
"""As grub's 20_linux_xen writes it: a PV GRUB has neither command, whatever is in the files."""
LINUX16 = "linux16 /boot/{kernel} root=/dev/xvda ro\ninitrd16 /boot/{initrd}"
SUPERUSER = "set superusers=root\npassword root secret\n"


def small_kernel(
    compression: str = "xz", *, notes: Mapping[int, bytes] = kernels.LINUX_NOTES
) -> Callable[[Boot], object]:
    """A kernel that GRUB, or the domain's first instruction, ends with."""

    def damage(boot: Boot) -> None:
        release = boot.kernel.name.removeprefix("vmlinuz-")
        elf = kernels.vmlinux(notes=notes, release=release)
        boot.kernel.write_bytes(kernels.bzimage(elf, compression, release=release))

    return damage


CASES = {
    "kernel-gone": Case(lambda boot: boot.kernel.unlink()),
    "kernel-cut-off": Case(
        lambda boot: boot.kernel.write_bytes(boot.kernel.read_bytes()[:4_000_000]),
    ),
    "kernel-of-text": Case(lambda boot: boot.kernel.write_bytes(b"no kernel\n" * 9000)),
    "kernel-lzo": Case(small_kernel("lzo")),
    "kernel-lz4": Case(small_kernel("lz4")),
    "kernel-without-xen": Case(small_kernel(notes={})),
    "initrd-gone": Case(lambda boot: boot.initrd.unlink()),
    "menu-gone": Case(lambda boot: boot.menu.unlink()),
    "menu-of-another-file-system": Case(
        lambda boot: boot.edit_menu("--fs-uuid --set=root ", "--fs-uuid --set=root 0000"),
        boots=True,
    ),
    "hypervisor-is-default": Case(default_entry(HYPERVISOR)),
    "kernel-by-linux16": Case(default_entry(LINUX16)),
    "chainloader-is-default": Case(default_entry("chainloader +1")),
    "entry-of-nothing": Case(default_entry("true")),
    "menu-waits": Case(lambda boot: boot.edit_menu("set timeout=0", "set timeout=-1")),
    "menu-asks": Case(
        lambda boot: boot.edit_menu("### BEGIN /etc/grub.d/10_linux ###\n", SUPERUSER)
    ),
    "initrd-of-text": Case(lambda boot: boot.initrd.write_bytes(b"no initrd\n" * 9000)),
    "initrd-cut-off": Case(
        lambda boot: boot.initrd.write_bytes(boot.initrd.read_bytes()[:-1_000_000]),
    ),
    "initrd-without-driver": Case(without_driver),
    "root-of-virtio": Case(of_virtio),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    def prepare(top: Path) -> None:
        (top / "etc/default/grub.d").mkdir(parents=True, exist_ok=True)
        (top / "etc/default/grub.d/lab.cfg").write_text(DEFAULTS)
        for name, text in xen_guest.INITRAMFS.items():
            (top / f"etc/initramfs-tools/{name}").write_text(text)
        for other in [
            path for release in OTHER_KERNELS for path in (top / "boot").glob(f"*-{release}")
        ]:
            other.unlink()

    directory = tmp_path_factory.mktemp("tree")
    with debian(directory, Layout(suite=Suite.BOOKWORM), TARGET, prepare=prepare) as made:
        # A small initrd, for GRUB reads it and Linux unpacks it under emulation.
        ChrootGuest(disk=made.disk, work=directory, suite=Suite.BOOKWORM).run(
            "update-initramfs", "-u"
        )
        yield made


def disk_of(tree: OutsideGuest, image: Path) -> Path:
    """A disk with the /boot of the tree alone, whose file system has the same UUID."""
    stage = image.with_suffix(".d")
    (stage / "dev").mkdir(parents=True)
    shutil.copytree(tree.top / "boot", stage / "boot", symlinks=True)
    uuid = tree.disk.root.uuid
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-U", uuid, "-d", str(stage), str(image), DISK],
        check=True,
        timeout=120,
    )
    shutil.rmtree(stage)
    return image


def predicted_and_said(tree: OutsideGuest, codes: Mapping[str, str], directory: Path) -> None:
    """Do each damage to a /boot, ask preflight, boot it: the console says what was predicted,
    and it boots no further than that.
    """
    dom0 = xen_dom0.prepare()
    menu = tree.top / "boot/grub/grub.cfg"
    release = menu.read_text().partition("vmlinuz-")[2].split()[0]
    boot = Boot(
        kernel=tree.top / f"boot/vmlinuz-{release}",
        initrd=tree.top / f"boot/initrd.img-{release}",
        menu=menu,
    )
    whole = {path: path.read_bytes() for path in (boot.kernel, boot.initrd, boot.menu)}
    runs: list[GuestRun] = []
    predicted: dict[str, str] = {}
    for name, code in codes.items():
        case = CASES[name]
        case.damage(boot)
        answer = tree.run(
            "preflight", "--json", f"--target={TARGET}", code=0 if case.boots else 3
        ).json
        (finding,) = (
            finding for finding in answer["findings"] if finding["stops"] is not case.boots
        )
        assert finding["code"] == code, name
        assert answer["will_boot"] is case.boots
        predicted[name] = finding["console"].partition("…")[2] or finding["console"]
        until = "Loading Linux" if case.boots else predicted[name]
        runs.append(start(dom0, name, disk_of(tree, directory / f"{name}.img"), until))
        for path, data in whole.items():
            path.write_bytes(data)
    consoles = xen_lab.boot(runs, dom0=dom0)
    for name, words in predicted.items():
        assert words in consoles[name].text, name
        assert AT_ROOT not in consoles[name].text, name


def test_grub_says_what_was_predicted(tree: OutsideGuest, tmp_path: Path) -> None:
    predicted_and_said(tree, seen_on_xen.BY_GRUB, tmp_path)


def test_linux_says_what_was_predicted(tree: OutsideGuest, tmp_path: Path) -> None:
    predicted_and_said(tree, seen_on_xen.BY_LINUX, tmp_path)


def test_what_is_healthy_reaches_its_root(tree: OutsideGuest, tmp_path: Path) -> None:
    dom0 = xen_dom0.prepare()
    assert tree.run("preflight", "--json", f"--target={TARGET}").json["findings"] == []
    xen_lab.boot(
        [start(dom0, "healthy", disk_of(tree, tmp_path / "healthy.img"), AT_ROOT)], dom0=dom0
    )


def start(dom0: xen_dom0.Dom0, name: str, disk: Path, words: str) -> GuestRun:
    until = "".join(
        f"[{character}]" if character in "`'.*[]()|?+$^{}\\" else character for character in words
    )
    return GuestRun(
        name=name,
        disk=disk,
        type="pv",
        kernel=dom0.stage1(TARGET),
        memory=MEMORY,
        until=(until,),
        timeout=SECONDS,
    )
