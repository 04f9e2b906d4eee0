# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole Debian guests that are unusual and boot: of none of them may anything be found."""

from tests.support import kernels
from tests.support.debian_damage import (
    FIRST,
    LEGACY,
    OTHER_UUID,
    PVH,
    PYGRUB,
    START,
    SUPERUSER,
    Damage,
    Guest,
    Row,
    both,
    gone,
    hypervisor,
    legacy,
    menu,
    put,
    qubes,
    root,
    saved,
    small,
    two_disks,
    whole_disks,
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
    Row("xvda2 and xvda1 are two whole disks, as of xen-tools", whole_disks, "", boots=True),
    Row("menu.lst counts two whole disks", two_disks("(hd1)"), "", config=LEGACY, boots=True),
    Row("the root is Qubes' /dev/mapper/dmroot", qubes, "", PVH, boots=True),
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
