# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of many kinds that boot, done to a tree."""

from dataclasses import replace

from guest_hooks.config import Stage1
from guest_hooks.volumes import BlockDevice
from tests.support import boot_tree, kernels
from tests.support.boot_damage import (
    CONFIG,
    INITRD,
    KERNEL,
    OTHER_UUID,
    SECOND,
    STAGE2,
    Damage,
    appended,
    arguments,
    both,
    btrfs_root,
    by_dracut,
    consoles,
    default_entry,
    default_target,
    environment,
    fstab,
    hypervisor,
    kernel_of,
    legacy,
    loaded,
    luks,
    lvm,
    menu,
    menu_lst,
    no_initrd_line,
    own_usr,
    packed,
    password,
    raid,
    saved,
    second_disk,
    set_root,
    signed,
    stage1,
    unit,
    whole_disks,
    write,
)
from tests.support.boot_tree import NEWEST, OWN, OWN_DISK, RELEASES, UUID, BootTree


def btrfs_subvolume(tree: BootTree) -> None:
    """Debian's installer: the root is the subvolume @rootfs."""
    tree.boot = replace(tree.boot, fs_type="btrfs", grub_dir="/@rootfs/boot/grub")
    tree.edit_menu("/boot/vmlinuz", "/@rootfs/boot/vmlinuz")
    tree.edit_menu("/boot/initrd", "/@rootfs/boot/initrd")


def built_in(tree: BootTree) -> None:
    """A kernel that needs no initrd."""
    tree.write(CONFIG, boot_tree.OPTIONS.replace("=m", "=y").encode())
    no_initrd_line(tree)


def no_records(tree: BootTree) -> None:
    """Kernels without their configuration."""
    for release in RELEASES:
        tree.remove(f"boot/config-{release}")


def custom(tree: BootTree) -> None:
    """A menu by hand, whose entry is the default."""
    lines = [
        f"search -u --set=root {UUID}",
        f"linux /{KERNEL} root=LABEL=root",
        f"initrd /{INITRD}",
    ]
    tree.write(
        "boot/grub/custom.cfg",
        "\n".join(["set default=mine", "menuentry mine {", *lines, "}\n"]).encode(),
    )


def own_boot_and_root(tree: BootTree) -> None:
    """/boot on ext4 and the root on XFS."""
    tree.own_boot()
    root = BlockDevice(
        path="/dev/xvda2", type="part", fs_type="xfs", uuid=OTHER_UUID, parent="xvda"
    )
    tree.devices = (*tree.devices, root)
    tree.disks.files["/dev/xvda2"] = ()
    for release in RELEASES:
        tree.write(f"boot/initrd.img-{release}", boot_tree.initrd(release, ("xen-blkfront", "xfs")))
    set_root(f"root=UUID={OTHER_UUID}")(tree)


def partitioned_cloud(tree: BootTree) -> None:
    """As genericcloud images are: GPT, an EFI partition, a BIOS boot partition, root last in
    the table and first by number.
    """
    esp = BlockDevice(
        path="/dev/xvda15", type="part", fs_type="vfat", uuid="1234-ABCD", parent="xvda"
    )
    tree.devices = (OWN_DISK, OWN, BlockDevice(path="/dev/xvda14", type="part", parent="xvda"), esp)
    tree.disks.files["/dev/xvda15"] = ("/EFI/debian/grub.cfg",)
    set_root(f"root=PARTUUID={OWN.part_uuid}")(tree)


def crypttab(tree: BootTree) -> None:
    """A disk that crypttab opens."""
    tree.write("etc/crypttab", b"# made at boot\nsecret UUID=1 none luks\n")
    fstab("/dev/mapper/secret /secret ext4 defaults 0 2")(tree)


def hypervisor_beside(tree: BootTree) -> None:
    """With XEN_OVERRIDE_GRUB_DEFAULT=0: the entries stay, and Linux's is the default."""
    hypervisor()(tree)
    tree.edit_menu('set default="Debian GNU/Linux, with Xen hypervisor"', 'set default="0"')


def other_platform_beside(tree: BootTree) -> None:
    """An entry for UEFI."""
    end = "### END /etc/grub.d/10_linux ###\n"
    tree.edit_menu(end, end + "menuentry 'UEFI Firmware Settings' {\nfwsetup\n}\n")


def memory_test(tree: BootTree) -> None:
    """As memtest86+ lists itself: started like a Linux, and none."""
    image = kernels.bzimage(kernels.vmlinux(notes={}), release="Memtest86+")
    tree.write("boot/memtest86+x64.bin", image)
    end = "### END /etc/grub.d/10_linux ###\n"
    entry = 'menuentry "Memory test (memtest86+x64.bin)" {\n\tlinux /boot/memtest86+x64.bin\n}\n'
    tree.edit_menu(end, end + entry)


def sourced(tree: BootTree) -> None:
    """The default entry takes its lines from a file that is named without a device."""
    default_entry(f"search -u --set=root {UUID}\nsource /boot/grub/mine.cfg")(tree)
    lines = f"linux /{KERNEL} root=/dev/xvda1 console=hvc0\ninitrd /{INITRD}\n"
    tree.write("boot/grub/mine.cfg", lines.encode())


def other_menu(tree: BootTree) -> None:
    """grub.cfg is a stub: what the menu has is not known."""
    tree.write("boot/grub/grub.cfg", boot_tree.handover() + b"configfile /boot/grub2/grub.cfg\n")


HEALTHY: dict[str, Damage] = {
    "three-kernels": lambda _tree: None,
    "entry-by-gpt-of-a-xen-disk": loaded("set root='xen/xvda,gpt1'"),
    "entry-by-paths-on-root": loaded("", f"($root)/{KERNEL}", f"($root)/{INITRD}"),
    "entry-found-behind-a-disk-of-a-pc": loaded(
        f"set root='hd0,msdos1'\nsearch --fs-uuid --set=root {UUID}"
    ),
    "root-that-grub-looks-up": menu(
        "probe -u $root --set=id\nmenuentry a {\n{load}linux /"
        f"{KERNEL} root=UUID=$id console=hvc0\ninitrd /{INITRD}\n}}\n"
    ),
    "title-that-grub-makes": menu("regexp -s v 'x(.*)' xabc\nmenuentry $v {\n{load}}\n"),
    "menu-for-this-platform-too": menu(
        'if [ "$grub_platform" != pc ]; then\nmenuentry a {\n{load}}\nfi\n'
    ),
    "entry-that-a-function-makes": menu('function e {\nmenuentry "$1" {\n{load}}\n}\ne one\n'),
    "menu-of-carriage-returns": lambda tree: tree.edit_menu("\n", "\r\n"),
    "next-entry-once": environment(next_entry="1>2"),
    "terminal-that-is-not-there": appended("serial --unit=0\nterminal_output serial"),
    "menu-hidden": appended("set timeout_style=hidden\nset timeout=0"),
    "title-in-another-language": both(
        lambda tree: tree.edit_menu("Advanced options for", "Erweiterte Optionen für"),
        lambda tree: tree.edit_menu(
            'set default="0"', 'set default="Erweiterte Optionen für Debian GNU/Linux>2"'
        ),
    ),
    "kernel-behind-a-link": both(
        lambda tree: (tree.top / "vmlinuz").symlink_to(KERNEL),
        lambda tree: (tree.top / "initrd.img").symlink_to(INITRD),
        loaded("", "/vmlinuz", "/initrd.img"),
    ),
    "initrd-of-packed-modules": by_dracut(
        *(
            f"usr/lib/modules/{NEWEST}/kernel/{name}.ko.gz"
            for name in ("xen-blkfront", "ext4", "dm-mod")
        ),
        modules=(),
        releases=(NEWEST,),
    ),
    "fstab-that-is-turned-off": both(
        arguments("fstab=no"), fstab(f"UUID={OTHER_UUID} /srv ext4 defaults 0 2")
    ),
    "target-of-the-admins": both(unit("mine.target"), default_target("mine.target")),
    "all-is-signed": signed("boot/grub/grub.cfg", KERNEL, INITRD),
    "two-initrds-on-a-line": both(
        loaded("", "", f"/boot/early.img /{INITRD}"),
        write("boot/early.img", kernels.cpio({"kernel/x86/microcode/x.bin": b"x"})),
    ),
    "own-boot": lambda tree: tree.own_boot(),
    "own-boot-and-root-on-xfs": own_boot_and_root,
    "cloud-image": partitioned_cloud,
    "btrfs-subvolume": btrfs_subvolume,
    "root-in-a-subvolume": btrfs_root("subvol=@rootfs", "/@rootfs/"),
    "lvm": lvm,
    "raid": raid("raid1"),
    "image-without-disks": lambda tree: setattr(tree, "devices", ()),
    "data-disk": second_disk(SECOND, "/data/x"),
    "swap-disk": lambda tree: setattr(
        tree,
        "devices",
        (*tree.devices, BlockDevice(path="/dev/xvdb", type="disk", fs_type="swap", uuid="s")),
    ),
    "root-by-uuid": set_root(f"root=UUID={UUID}"),
    "root-by-label": set_root("root=LABEL=root"),
    "root-by-disk-name": set_root(f"root=/dev/disk/by-uuid/{UUID}"),
    "root-on-nfs": set_root("root=/dev/nfs"),
    "drivers-built-in": built_in,
    "no-configuration-file": no_records,
    "no-grubenv": lambda tree: tree.remove("boot/grub/grubenv"),
    "saved-default": saved("1>2"),
    "custom-entries": custom,
    "pygrub-unpacks-zstd": stage1(Stage1.PYGRUB, packed("zstd")),
    "legacy-pv": stage1(
        Stage1.GRUB_LEGACY,
        write("boot/grub/menu.lst", menu_lst()),
    ),
    "fstab-that-waits-for-no-disk": fstab(
        "/dev/vdb1 /a ext4 nofail 0 2",
        f"UUID={OTHER_UUID} /b ext4 noauto 0 2",
        "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0",
        f"UUID={OTHER_UUID} /c ext4 x-systemd.automount 0 2",
        f"UUID={OTHER_UUID} /d ext4 _netdev 0 2",
        "server:/e /e nfs defaults 0 0",
        "tmpfs /tmp tmpfs defaults 0 0",
        "/srv/f /f none bind 0 0",
        f"UUID={UUID} /g ext4 defaults 0 2",
        f"UUID={OTHER_UUID} none swap sw,nofail 0 0",
    ),
    "fstab-of-a-type-s-elder": both(
        second_disk(replace(SECOND, fs_type="ext3")),
        fstab(f"UUID={OTHER_UUID} /srv ext4 defaults 0 2"),
    ),
    "fstab-with-the-root-of-another-bus": write("etc/fstab", b"/dev/vda1 / ext4 defaults 0 1\n"),
    "fstab-of-what-crypttab-makes": crypttab,
    "resume-from-nothing": write("etc/initramfs-tools/conf.d/resume", b"RESUME=none\n"),
    "resume-from-a-disk-that-is-there": write(
        "etc/initramfs-tools/conf.d/resume", f"RESUME=UUID={UUID}\n".encode()
    ),
    "hypervisor-not-default": hypervisor_beside,
    "entry-for-another-platform": other_platform_beside,
    "password-without-asking": password("--unrestricted "),
    "legacy-two-whole-disks-pv": both(whole_disks, legacy(f"(hd1){STAGE2}")),
    "kernel-by-multiboot-pv": lambda tree: tree.edit_menu("\tlinux\t", "\tmultiboot\t"),
    "initrd-of-dracut": by_dracut(),
    "initrd-of-dracut-on-lvm": both(lvm, by_dracut()),
    "initrd-of-dracut-on-luks": both(
        luks,
        by_dracut(
            "usr/lib/systemd/systemd-cryptsetup",
            modules=("xen-blkfront", "ext4", "dm-mod", "dm-crypt"),
        ),
    ),
    "initrd-of-dracut-with-a-root-of-its-own": both(
        by_dracut("etc/cmdline.d/20-root-dev.conf"), set_root("quiet")
    ),
    "root-type-of-the-same-driver": arguments("rootfstype=xfs,ext4"),
    "no-resume": both(
        write("etc/initramfs-tools/conf.d/resume", b"RESUME=/dev/vda5\n"), arguments("noresume")
    ),
    "resume-beside-dracut": both(
        by_dracut(), write("etc/initramfs-tools/conf.d/resume", b"RESUME=/dev/vda5\n")
    ),
    "console-without-its-number": consoles("console=tty console=hvc"),
    "away-from-a-target-of-rescue": both(
        default_target("rescue.target"), arguments("systemd.unit=multi-user.target")
    ),
    "back-from-single": arguments("single systemd.unit=multi-user.target"),
    "init-by-another-name": arguments("init=/usr/lib/systemd/systemd"),
    "usr-on-xfs": own_usr("xfs", ("xfs",)),
    "usr-on-a-disk-of-its-own": both(
        second_disk(SECOND), fstab(f"UUID={OTHER_UUID} /usr ext4 nofail 0 2")
    ),
    "fstab-of-what-crypttab-opens-later": both(
        crypttab, fstab("UUID=inside /in ext4 defaults 0 2")
    ),
    "fstab-of-units-and-networks": fstab(
        f"UUID={OTHER_UUID} /a ext4 x-systemd.wanted-by=a.service 0 2",
        f"UUID={OTHER_UUID} /b ext4 x-systemd.required-by=b.service 0 2",
        f"UUID={OTHER_UUID} /c gfs2 defaults 0 0",
        f"UUID={OTHER_UUID} /d ext4 fail,nofail 0 2",
        'LABEL="two words" /e ext4 defaults 0 2',
        f"UUID={OTHER_UUID} none",
    ),
    "memory-test-beside": memory_test,
    "entry-in-another-file": sourced,
    "menu-in-other-files": other_menu,
    "kernel-gzip": packed("gzip"),
    "kernel-signed": write(KERNEL, boot_tree.kernel() + b"signature" * 100),
    "kernel-with-hypercall-page": write(
        KERNEL, kernel_of(notes={**kernels.LINUX_NOTES, 2: b"\0" * 8})
    ),
}
