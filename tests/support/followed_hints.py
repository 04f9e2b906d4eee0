# SPDX-License-Identifier: GPL-3.0-or-later
"""Next steps that a test takes in a running guest, and why it takes no others."""

from dataclasses import dataclass

CFG = "/boot/grub/grub.cfg"
SECOND_STAGE = "/boot/xen/pvhboot-i386.elf"
DEFAULTS = "/etc/default/grub"
FIRST = "/etc/grub.d/05_first"
"""A script of the admin's, whose entry comes before Debian's."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The `damage`, and what the step asks for `by_hand` before the command that it ends with."""

    damage: str
    by_hand: str = ""


def _first(body: str) -> str:
    script = f'#!/bin/sh\\necho "menuentry first {{\\n{body}\\n}}"\\n'
    return f"printf '{script}' >{FIRST}; chmod +x {FIRST}; update-grub"


def _default(name: str, value: str) -> str:
    return f"echo '{name}=\"{value}\"' >>{DEFAULTS}"


FOLLOWED = {
    "missing": Followed(f"rm {SECOND_STAGE}"),
    "truncated": Followed(f"truncate -s 300000 {SECOND_STAGE}"),
    "not-elf": Followed(f": >{SECOND_STAGE}"),
    "bridge-damaged": Followed("truncate -s 300000 /boot/xen/pvhboot-i386.linux"),
    "core-image-differs": Followed("rm /boot/grub/i386-xen_pvh/core.elf"),
    "module-dir-differs": Followed("rm /boot/grub/i386-xen_pvh/normal.mod"),
    "class-mismatch": Followed(f"grub-mkimage -O x86_64-xen -p /boot/grub -o {SECOND_STAGE} ext2"),
    "kernel-zeroed": Followed(
        f"dd if=/dev/zero of={SECOND_STAGE} bs=4096 seek=4 count=8 conv=notrunc status=none"
    ),
    "not-a-bridge": Followed(f"cp {SECOND_STAGE} /boot/xen/pvhboot-i386.linux"),
    "foreign": Followed(
        "grub-mkstandalone -O i386-xen_pvh --install-modules=normal"
        f" -o {SECOND_STAGE} boot/grub/grub.cfg=/etc/issue"
    ),
    "grub-cfg-missing": Followed(f"rm {CFG}"),
    "grub-cfg-invalid": Followed(f"truncate -s 3000 {CFG}"),
    "menu-empty": Followed(f"echo set timeout=5 >{CFG}"),
    "menu-waits": Followed(
        f"{_default('GRUB_TIMEOUT', '-1')}; update-grub", _default("GRUB_TIMEOUT", "5")
    ),
    "menu-asks": Followed(
        f"printf '#!/bin/sh\\necho set superusers=root\\n' >{FIRST}; chmod +x {FIRST}; update-grub",
        "sed -i 's/^CLASS=\"/&--unrestricted /' /etc/grub.d/10_linux",
    ),
    "entry-command-missing": Followed(_first("chainloader +1"), _default("GRUB_DEFAULT", "1")),
    "entry-starts-nothing": Followed(_first("true"), _default("GRUB_DEFAULT", "1")),
    "default-not-there": Followed(
        f"{_default('GRUB_DEFAULT', 'gone')}; update-grub",
        f"{_default('GRUB_DEFAULT', '0')}; update-grub",
    ),
    "console-elsewhere": Followed(
        f"{_default('GRUB_CMDLINE_LINUX', 'console=tty0')}; update-grub",
        _default("GRUB_CMDLINE_LINUX", "console=tty0 console=hvc0"),
    ),
    "kernel-gone": Followed(f"sed -i 's#vmlinuz-[^ ]*#vmlinuz-0#' {CFG}"),
    "kernel-missing": Followed(f"sed -i 's#vmlinuz-[^ ]*#vmlinuz-0#' {CFG}"),
    "menu-of-another-disk": Followed(f"sed -i 's/--set=root.*/--set=root 1111-2222/' {CFG}"),
    "entry-file-system-missing": Followed(f"sed -i 's/--set=root.*/--set=root 1111-2222/' {CFG}"),
    "root-of-builder": Followed(f"sed -i 's#root=[^ ]*#root=/dev/nbd7#' {CFG}"),
    "menu-of-builders-disk": Followed(f"sed -i 's#root=[^ ]*#root=/dev/sda1#' {CFG}"),
    "entry-disk-missing": Followed(f"sed -i \"s/^\\tlinux/\\tset root='hd0,msdos1'\\n&/\" {CFG}"),
    "root-not-a-path": Followed(f"sed -i 's#root=[^ ]*#root=xvda1#' {CFG}"),
    "root-of-another-bus": Followed(f"sed -i 's#root=[^ ]*#root=/dev/vda7#' {CFG}"),
    "boot-ends-in-shell": Followed(
        f"{_default('GRUB_CMDLINE_LINUX', 'single')}; update-grub",
        _default("GRUB_CMDLINE_LINUX", ""),
    ),
    "fstab-usr-missing": Followed(
        "echo '/dev/vdb3 /usr ext4 nofail 0 2' >>/etc/fstab", "sed -i '/vdb3/d' /etc/fstab"
    ),
    "root-none": Followed(f"sed -i 's# root=[^ ]*##' {CFG}"),
    "initrd-not-in-menu": Followed(f"sed -i '/initrd/d' {CFG}"),
    "grubenv-invalid": Followed("echo broken >/boot/grub/grubenv"),
    "initrd-missing": Followed("rm /boot/initrd.img-*"),
    "initrd-empty": Followed("for file in /boot/initrd.img-*; do : >$file; done"),
    "fstab-disk-missing": Followed(
        "echo '/dev/vdb1 /srv ext4 defaults 0 2' >>/etc/fstab",
        "sed -i '/vdb1/s/defaults/nofail/' /etc/fstab",
    ),
    "fstab-swap-missing": Followed(
        "echo '/dev/vdb2 none swap sw 0 0' >>/etc/fstab",
        "sed -i '/vdb2/s/sw/nofail/' /etc/fstab",
    ),
}
"""By the code. A row of the same hint counts as followed with it."""
_FETCHES = "a package has to be fetched"
_DISK = "another disk or file system has to be made"
_KERNEL = "another kernel has to be booted"
_HOST = "it is for a host that starts no GRUB 2; tests/tree/test_pygrub.py, tests/unit/survey"
_OTHER = "it is followed by tests/{}"
NOT_FOLLOWED = {
    "stage1-finds-nothing": "its step is found for the guest; tests/unit/preflight",
    **dict.fromkeys(
        ("other-bytes", "uuid-twice", "root-twice", "boot-file-system-unreadable"), _DISK
    ),
    **dict.fromkeys(
        ("boot-not-known", "grub-cfg-not-known"), "it is for a user who may not look as root"
    ),
    "held-by-rollback": "a rollback has to come before; tests/tree/test_minimal.py",
    "second-stage-left-behind": "its command names what is there; tests/tree/test_root_option.py",
    "second-stage-not-reached": "the program of the package is not in that guest",
    **dict.fromkeys(
        (
            *("grub-not-installed", "grub-half-installed", "kernel-incomplete", "kernel-invalid"),
            *("kernel-modules-missing", "not-a-kernel", "cannot-look-inside"),
        ),
        _FETCHES,
    ),
    **dict.fromkeys(
        (
            *("kernel-width", "kernel-no-pv", "kernel-not-bzimage", "kernel-protocol"),
            *("kernel-no-pvh", "pv-kernel-unfit", "no-payload"),
        ),
        _KERNEL,
    ),
    "menu-kept": _OTHER.format("tree/test_update_grub.py"),
    "entry-starts-hypervisor": _OTHER.format("tree/test_hypervisor.py"),
    **dict.fromkeys(
        (
            *("kernel-compression", "pv-kernel-not-in-menu", "pv-kernel-missing"),
            *("pv-kernel-unwanted", "pv-kernel-kept"),
        ),
        _OTHER.format("package/test_pv_kernels.py, tree/test_pv_menu.py"),
    ),
    "initrd-none": "its two commands are those of initrd-missing and menu-empty",
    **dict.fromkeys(
        ("initrd-compression", "initrd-too-big", "resume-missing"),
        "the initial RAM disk would be made again, as for initrd-empty",
    ),
    **dict.fromkeys(
        ("root-type-differs", "root-no-file-system", "root-subvolume-missing"),
        "udev knows no disk of that guest; tests/unit/preflight",
    ),
    "root-without-system": "udev knows no disk of that guest; tests/unit/preflight",
    "root-without-init": _FETCHES,
    "root-missing": "udev knows no disk of the guest that the test enters; tests/unit/preflight",
    "boot-file-unsigned": "the key is the admin's",
    "fstab-type-differs": "as for fstab-disk-missing, and udev knows no disk of that guest",
    "fstab-root-missing": "as for fstab-disk-missing, and udev knows no disk of that guest",
    **dict.fromkeys(
        (
            *("pygrub-file-system", "pygrub-finds-nothing", "pygrub-refuses", "pygrub-waits"),
            *("legacy-menu", "legacy-menu-missing", "legacy-menu-waits", "legacy-drive"),
            *("legacy-kernel-missing", "legacy-file-system"),
        ),
        _HOST,
    ),
    **dict.fromkeys(
        (
            *("barrier-late", "barrier-unknown", "barrier-refused", "receipt-not-kept"),
            *("target-failed", "optional-target", "package-manager-at-work"),
        ),
        "it is said of a run that failed or waits, and the next run does it again",
    ),
}
"""Why a step is not taken there; the host's admin's are not in it."""
