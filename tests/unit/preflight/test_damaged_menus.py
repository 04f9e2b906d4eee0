# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged menus, those of other hosts included."""

from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.model import Severity
from guest_hooks.preflight.result import Certainty
from tests.support import kernels
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    OTHER_UUID,
    PVH,
    STAGE2,
    appended,
    both,
    default_entry,
    environment,
    hypervisor,
    legacy,
    legacy_on_xfs,
    loaded,
    menu,
    no_initrd_line,
    packed,
    password,
    refused_menu,
    saved,
    signed,
    stage1,
    timeout,
    whole_disks,
    write,
)
from tests.support.boot_tree import UUID
from tests.support.damage_case import Case, check

PANIC = "Unable to mount root fs"
WARNING, LIKELY = Severity.WARNING, Certainty.LIKELY
CASES = [
    Case("no-initrd", no_initrd_line, "initrd-none", PANIC),
    Case("menu-gone", lambda tree: tree.remove("boot/grub/grub.cfg"), "grub-cfg-missing", "grub>"),
    Case("menu-refused", refused_menu, "grub-cfg-invalid", "syntax error"),
    Case(
        "menu-without-entries",
        write("boot/grub/grub.cfg", b"set timeout=5\n"),
        "menu-empty",
        "grub>",
    ),
    Case(
        "entry-of-another-file-system",
        both(
            lambda tree: tree.edit_menu("set root='hd0,msdos1'", "true"),
            lambda tree: tree.edit_menu(UUID, OTHER_UUID),
        ),
        "entry-file-system-missing",
        f"no such device: {OTHER_UUID}",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "hypervisor-is-default",
        hypervisor(),
        "entry-command-missing",
        "can't find command `multiboot2'.",
    ),
    Case(
        "hypervisor-of-another-processor",
        hypervisor("xen_hypervisor", "xen_module"),
        "entry-command-missing",
        "can't find command `xen_hypervisor'.",
    ),
    Case(
        "hypervisor-is-default-pvh",
        hypervisor(),
        "entry-starts-hypervisor",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "hypervisor-by-multiboot-pvh",
        hypervisor("multiboot", "module"),
        "entry-starts-hypervisor",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "chainloader-is-default",
        default_entry("chainloader +1"),
        "entry-command-missing",
        "can't find command `chainloader'.",
    ),
    Case("entry-of-nothing", default_entry("true"), "entry-starts-nothing", "Booting `"),
    Case("entry-that-halts", default_entry("halt"), "entry-starts-nothing", "Booting `"),
    *(
        Case(f"entry-on-no-disk-{name}", damage, "entry-disk-missing", f"disk `{disk}' not found.")
        for name, damage, disk in (
            ("of-a-pc", loaded("set root='hd0,msdos1'"), "hd0,msdos1"),
            ("of-old", loaded("set root=(hd0,1)"), "hd0,1"),
            ("by-its-path", loaded(kernel=f"(hd0,1)/{KERNEL}"), "hd0,1"),
            ("that-was-detached", loaded("set root=xen/xvdb,gpt1"), "xen/xvdb,gpt1"),
            ("of-a-pc-s-clone", lambda tree: tree.edit_menu(UUID, OTHER_UUID), "hd0,msdos1"),
            (
                "where-a-search-finds-nothing",
                loaded(f"set root='hd0,msdos1'\nsearch --fs-uuid --set=root {OTHER_UUID}"),
                "hd0,msdos1",
            ),
        )
    ),
    Case(
        "two-initrd-lines",
        both(
            loaded("", "", "/boot/early.img", f"initrd /{INITRD}"),
            write("boot/early.img", kernels.cpio({"kernel/x86/microcode/x.bin": b"x"})),
        ),
        "initrd-lacks-module",
        "Dropping to a shell!",
    ),
    *(
        Case(f"not-signed-{number}", signed(*names), "boot-file-unsigned", f"{file}.sig' not found")
        for number, (names, file) in enumerate(
            (
                ((), "/boot/grub/grub.cfg"),
                (("boot/grub/grub.cfg", INITRD), KERNEL),
                (("boot/grub/grub.cfg", KERNEL), INITRD),
            )
        )
    ),
    Case(
        "a-command-with-a-blank-of-the-web",
        default_entry(f"linux\u00a0/{KERNEL} root=/dev/xvda1\ninitrd /{INITRD}"),
        "entry-command-missing",
        "can't find command `linux",
    ),
    Case(
        "kernel-by-a-path-from-nowhere",
        loaded(kernel=KERNEL),
        "kernel-missing",
        f"error: invalid file name `{KERNEL}'.",
    ),
    Case(
        "menu-for-another-platform",
        menu('if [ "$grub_platform" = pc ]; then\nmenuentry a {\n{load}}\nfi\n'),
        "menu-empty",
        "grub>",
    ),
    Case(
        "menu-waits-after-a-boot-that-failed",
        both(
            environment(recordfail="1"),
            appended('if [ "${recordfail}" = 1 ]; then set timeout=-1; fi'),
        ),
        "menu-waits",
        "GNU GRUB",
    ),
    Case(
        "memory-test-is-default",
        both(
            write("boot/m.bin", kernels.bzimage(kernels.vmlinux(notes={}), release="m")),
            default_entry("linux /boot/m.bin"),
        ),
        "kernel-no-notes",
        "no XEN note",
    ),
    Case("menu-waits", timeout("-1"), "menu-waits", "GNU GRUB"),
    Case("menu-waits-pvh", timeout("never"), "menu-waits", "GNU GRUB", mode=PVH),
    Case("menu-asks", password(), "menu-asks", "Enter username:"),
    Case("menu-asks-pvh", password(), "menu-asks", "Enter username:", mode=PVH),
    Case(
        "grubenv-damaged",
        write("boot/grub/grubenv", bytes(1024)),
        "grubenv-invalid",
        "invalid environment block",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "default-gone",
        saved("Debian, long ago"),
        "default-not-there",
        "Booting `Debian GNU/Linux'",
        boots=True,
        severity=WARNING,
    ),
    Case("legacy-menu-gone", stage1(Stage1.GRUB_LEGACY), "legacy-menu-missing", "grubdom>"),
    Case(
        "legacy-drive-of-a-partition",
        both(whole_disks, legacy(f"(hd0,1){STAGE2}")),
        "legacy-drive",
        "Error ",
        certainty=LIKELY,
    ),
    Case("legacy-no-drive", legacy(STAGE2), "legacy-drive", "Error ", certainty=LIKELY),
    Case(
        "legacy-kernel-gone",
        legacy("(hd0,0)/boot/vmlinuz-1"),
        "legacy-kernel-missing",
        "Error 15",
    ),
    Case(
        "legacy-menu-without-a-title",
        stage1(
            Stage1.GRUB_LEGACY,
            write("boot/grub/menu.lst", f"timeout 1\nkernel (hd0,0){STAGE2}\n".encode()),
        ),
        "legacy-menu-empty",
        "grubdom>",
    ),
    Case("legacy-menu-waits", legacy(first="default 0"), "legacy-menu-waits", "0.97"),
    Case(
        "legacy-kernel-of-its-own",
        both(
            packed("zstd"),
            legacy(f"(hd0,0)/{KERNEL} root=/dev/xvda1 ro", f"initrd (hd0,0)/{INITRD}"),
        ),
        "legacy-menu-other",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "legacy-kernel-without-initrd",
        legacy(f"(hd0,0)/{KERNEL} root=/dev/xvda1 ro"),
        "initrd-none",
        PANIC,
    ),
    Case(
        "legacy-on-xfs", stage1(Stage1.GRUB_LEGACY, legacy_on_xfs), "legacy-file-system", "grubdom>"
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)
