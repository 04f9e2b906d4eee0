# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of damage that keeps a guest from booting has its finding."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.model import Mode, Severity, State
from guest_hooks.preflight.result import Certainty
from tests.support import boot_tree, kernels
from tests.support.boot_damage import (
    EARLIER,
    INITRD,
    KERNEL,
    OTHER_UUID,
    PV,
    PVH,
    SECOND,
    STAGE2,
    Damage,
    arguments,
    both,
    by_dracut,
    consoles,
    damaged_payload,
    default_entry,
    fstab,
    hypervisor,
    image,
    kernel_of,
    legacy,
    legacy_on_xfs,
    luks,
    lvm_without_program,
    minimal_mismatch,
    no_initrd_line,
    nothing_there,
    of_grub_install,
    options,
    other_root_in_fstab,
    own_boot_and_second_disk,
    packed,
    password,
    refused_menu,
    remove_modules,
    saved,
    second_disk,
    second_stage,
    set_root,
    stage1,
    timeout,
    truncated_initrd,
    twice,
    whole_disks,
    with_sysvinit,
    without,
    without_module,
    write,
)
from tests.support.boot_tree import NEWEST, RELEASES, UUID, BootTree


@dataclass(frozen=True, slots=True)
class Case:
    """One damage and the finding that must follow: its code, the console's words, whether the
    boot ends there.
    """

    name: str
    damage: Damage
    code: str
    console: str = ""
    mode: Mode = PV
    boots: bool = False
    severity: Severity = Severity.ERROR
    certainty: Certainty = Certainty.CERTAIN
    also: frozenset[str] = frozenset()


NOT_XEN = "not xen image."
TOO_OLD = "version too old for xen boot."
GONE = f"file `/{KERNEL}' not found."
PANIC = "Unable to mount root fs"
SHELL = "Dropping to a shell!"
FOR_LUKS = ("xen-blkfront", "ext4", "dm-mod", "dm-crypt")
WARNING, LIKELY = Severity.WARNING, Certainty.LIKELY
CASES = [
    Case("kernel-gone", lambda tree: tree.remove(KERNEL), "kernel-missing", GONE),
    Case("kernel-empty", write(KERNEL, b""), "kernel-invalid", NOT_XEN),
    Case("kernel-of-zeros", write(KERNEL, bytes(100_000)), "kernel-invalid", TOO_OLD),
    Case("kernel-of-text", write(KERNEL, b"no kernel\n" * 900), "kernel-invalid", TOO_OLD),
    Case(
        "kernel-of-text-pvh",
        write(KERNEL, b"no kernel\n" * 900),
        "kernel-invalid",
        "invalid magic number",
        mode=PVH,
    ),
    Case("kernel-cut-off", write(KERNEL, boot_tree.kernel()[:5000]), "kernel-truncated", NOT_XEN),
    Case(
        "kernel-cut-off-gzip",
        write(KERNEL, boot_tree.kernel(compression="gzip")[:5000]),
        "kernel-truncated",
        "premature end of file",
    ),
    Case(
        "kernel-cut-off-pvh",
        write(KERNEL, boot_tree.kernel()[:5000]),
        "kernel-truncated",
        "premature end of file",
        mode=PVH,
    ),
    Case("kernel-damaged", write(KERNEL, damaged_payload()), "kernel-damaged", NOT_XEN),
    Case(
        "kernel-damaged-pvh",
        write(KERNEL, damaged_payload()),
        "kernel-damaged",
        "System halted",
        mode=PVH,
    ),
    Case("kernel-zstd", packed("zstd"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case(
        "kernel-zstd-debian-pv",
        stage1(Stage1.DEBIAN_PV, packed("zstd")),
        "kernel-compression",
        NOT_XEN,
    ),
    Case("kernel-lz4", packed("lz4"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-lzo", packed("lzo"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-bzip2", packed("bzip2"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-lzma", packed("lzma"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case(
        "kernel-without-xen", write(KERNEL, kernel_of(notes={})), "kernel-no-notes", "no XEN note"
    ),
    Case("kernel-for-pvh-only", write(KERNEL, kernel_of(notes=without(1))), "kernel-no-pv"),
    Case(
        "kernel-of-another-loader",
        write(KERNEL, kernel_of(notes={**kernels.LINUX_NOTES, 8: b"odd\0"})),
        "kernel-loader",
        "invalid loader",
    ),
    Case(
        "kernel-32-bit",
        write(KERNEL, kernel_of(bits=32)),
        "kernel-width",
        "incompatible architecture",
    ),
    Case(
        "kernel-without-pvh-note",
        write(KERNEL, kernel_of(notes=without(18))),
        "kernel-no-pvh",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "kernel-without-pvh-option",
        options("XEN_PVH=y", "XEN_PVH=n"),
        "kernel-no-pvh",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "kernel-bare-elf-pvh",
        write(KERNEL, kernels.vmlinux(release=NEWEST)),
        "kernel-not-bzimage",
        "invalid magic number",
        mode=PVH,
    ),
    Case(
        "kernel-zimage-pvh",
        write(KERNEL, kernel_of(loads_high=False)),
        "kernel-protocol",
        "32-bit boot",
        mode=PVH,
    ),
    Case("kernel-modules-gone", remove_modules, "kernel-modules-missing", boots=True),
    Case(
        "initrd-gone",
        lambda tree: tree.remove(INITRD),
        "initrd-missing",
        f"file `/{INITRD}' not found.",
    ),
    Case("initrd-empty", write(INITRD, b""), "initrd-empty", PANIC),
    Case("initrd-of-zeros", write(INITRD, bytes(70_000)), "initrd-empty", PANIC),
    Case("initrd-of-text", write(INITRD, b"no initrd\n" * 99), "initrd-invalid", PANIC),
    Case(
        "initrd-cut-off",
        write(INITRD, truncated_initrd()),
        "initrd-damaged",
        "Initramfs unpacking failed",
    ),
    Case(
        "initrd-cut-off-plain",
        write(INITRD, boot_tree.initrd(compression="none")[:-200]),
        "initrd-truncated",
        PANIC,
    ),
    Case(
        "initrd-of-another-kernel",
        write(INITRD, boot_tree.initrd(RELEASES[1])),
        "initrd-of-another-kernel",
        SHELL,
    ),
    Case(
        "initrd-without-disk-driver",
        write(INITRD, boot_tree.initrd(modules=("ext4", "dm-mod"))),
        "initrd-lacks-module",
        SHELL,
    ),
    Case(
        "initrd-without-file-system",
        write(INITRD, boot_tree.initrd(modules=("xen-blkfront", "xfs"))),
        "initrd-lacks-module",
        SHELL,
    ),
    Case("initrd-without-lvm", lvm_without_program, "initrd-lacks-program", SHELL),
    Case(
        "initrd-of-dracut-without-driver",
        by_dracut(modules=("ext4",), releases=(NEWEST,)),
        "initrd-lacks-module",
        "dracut-initqueue: timeout",
    ),
    Case(
        "initrd-of-dracut-for-a-root-that-is-gone",
        both(by_dracut(), set_root(f"root=UUID={OTHER_UUID}")),
        "root-missing",
        "dracut-initqueue: timeout",
    ),
    Case(
        "initrd-of-dracut-without-cryptsetup",
        both(
            both(luks, by_dracut("usr/bin/systemd-cryptsetup", modules=FOR_LUKS)),
            by_dracut(modules=FOR_LUKS, releases=(NEWEST,)),
        ),
        "initrd-lacks-program",
        "dracut-initqueue: timeout",
    ),
    Case(
        "initrd-packing-unknown-to-kernel",
        options("CONFIG_RD_ZSTD=y\n", ""),
        "initrd-compression",
        PANIC,
    ),
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
        lambda tree: tree.edit_menu(UUID, OTHER_UUID),
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
        "kernel-by-linux16",
        default_entry(f"linux16 /{KERNEL} root=/dev/xvda1\ninitrd16 /{INITRD}"),
        "entry-command-missing",
        "can't find command `linux16'.",
    ),
    Case(
        "kernel-by-linux16-pvh",
        default_entry(f"linux16 /{KERNEL} root=/dev/xvda1\ninitrd16 /{INITRD}"),
        "entry-command-missing",
        "can't find command `linux16'.",
        mode=PVH,
    ),
    Case(
        "chainloader-is-default",
        default_entry("chainloader +1"),
        "entry-command-missing",
        "can't find command `chainloader'.",
    ),
    Case("entry-of-nothing", default_entry("true"), "entry-starts-nothing", "Booting `"),
    Case("entry-that-halts", default_entry("halt"), "entry-starts-nothing", "Booting `"),
    Case("menu-waits", timeout("-1"), "menu-waits", "GNU GRUB"),
    Case("menu-waits-pvh", timeout("never"), "menu-waits", "GNU GRUB", mode=PVH),
    Case("menu-asks", password(), "menu-asks", "Enter username:"),
    Case("menu-asks-pvh", password(), "menu-asks", "Enter username:", mode=PVH),
    Case(
        "root-gone",
        set_root(f"root=UUID={OTHER_UUID}"),
        "root-missing",
        "does not exist.  Dropping to a shell!",
    ),
    Case("root-by-a-disk-of-another-name", set_root("root=/dev/sda1"), "root-missing", SHELL),
    Case("root-on-the-builder-s-disk", set_root("root=/dev/loop15"), "root-of-builder", SHELL),
    Case(
        "root-on-the-builder-s-partition",
        set_root("root=/dev/mapper/loop3p1"),
        "root-of-builder",
        SHELL,
    ),
    Case(
        "root-of-virtio-in-an-image",
        image(set_root("root=/dev/vda1")),
        "root-of-another-bus",
        "ALERT!  /dev/vda1 does not exist.  Dropping to a shell!",
        certainty=LIKELY,
    ),
    Case(
        "root-of-nvme-in-an-image-pvh",
        image(set_root("root=/dev/nvme0n1p2")),
        "root-of-another-bus",
        SHELL,
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "root-by-virtio-s-name-in-an-image",
        image(set_root("root=/dev/disk/by-id/virtio-disk0-part1")),
        "root-of-another-bus",
        SHELL,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-virtio",
        fstab("/dev/vdb1 /srv ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-virtio-in-an-image",
        image(fstab("/dev/vdb1 /srv ext4 defaults 0 2")),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-disk-that-is-gone",
        fstab(f"UUID={OTHER_UUID} /home ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-label-that-is-gone",
        fstab("LABEL=data /data xfs defaults 0 0"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-volume-that-is-gone",
        fstab("/dev/vg0/data /data ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-without-systemd",
        with_sysvinit(fstab(f"UUID={OTHER_UUID} /home ext4 defaults 0 2")),
        "fstab-disk-missing",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-another-root",
        other_root_in_fstab,
        "fstab-root-missing",
        "systemd-remount-fs",
        boots=True,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-swap-that-is-gone",
        fstab("/dev/xvda9 none swap sw 0 0"),
        "fstab-swap-missing",
        "Timed out waiting for device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "console-of-a-cloud-image",
        consoles("console=tty0 console=ttyS0,115200"),
        "console-elsewhere",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "console-of-a-screen-pvh",
        consoles("console=hvc0 console=tty0"),
        "console-elsewhere",
        mode=PVH,
        boots=True,
        severity=WARNING,
    ),
    Case(
        "resume-of-virtio-on-the-command-line",
        arguments("resume=/dev/vda5"),
        "resume-missing",
        "Gave up waiting for suspend/resume device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "resume-of-a-disk-that-is-gone",
        write("etc/initramfs-tools/conf.d/resume", f"RESUME=UUID={OTHER_UUID}\n".encode()),
        "resume-missing",
        "Gave up waiting for suspend/resume device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case("root-label-gone", set_root("root=LABEL=old"), "root-missing", SHELL),
    Case("root-partuuid-gone", set_root("root=PARTUUID=5a4f3c1e-02"), "root-missing", SHELL),
    Case("root-not-named", set_root("quiet"), "root-none", "No root device specified"),
    Case("root-twice", twice, "root-twice", certainty=LIKELY),
    Case(
        "other-disk-comes-first", second_disk(EARLIER, STAGE2), "other-disk-first", certainty=LIKELY
    ),
    Case(
        "other-disk-menu-first-pvh",
        second_disk(EARLIER, "/boot/grub/grub.cfg"),
        "other-disk-first",
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "other-disk-has-an-earlier-name",
        own_boot_and_second_disk,
        "other-disk-first",
        certainty=LIKELY,
    ),
    Case(
        "other-disk-has-a-copy",
        second_disk(SECOND, STAGE2),
        "other-disk-has-copy",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "nothing-to-start",
        nothing_there,
        "stage1-finds-nothing",
        "no such device: /boot/grub/grub.cfg",
        also=frozenset({"grub-cfg-missing", "second-stage-missing"}),
    ),
    Case(
        "second-stage-gone",
        second_stage(State.MISSING, "missing"),
        "second-stage-missing",
        f"no such device: {STAGE2}.",
        boots=True,
    ),
    Case(
        "second-stage-of-another-width",
        second_stage(State.INVALID, "class-mismatch"),
        "second-stage-class-mismatch",
        "incompatible architecture",
        boots=True,
    ),
    Case(
        "second-stage-cut-off",
        second_stage(State.INVALID, "load-size"),
        "second-stage-load-size",
        NOT_XEN,
        boots=True,
        certainty=LIKELY,
    ),
    Case(
        "second-stage-zeroed",
        second_stage(State.INVALID, "kernel-zeroed"),
        "second-stage-kernel-zeroed",
    ),
    Case(
        "second-stage-is-a-stage-1",
        second_stage(State.INVALID, "stage-1-image"),
        "second-stage-stage-1-image",
        "Welcome to GRUB!",
    ),
    Case(
        "second-stage-of-another-uuid",
        second_stage(State.STALE, "uuid-mismatch"),
        "second-stage-uuid-mismatch",
        "no such device",
    ),
    Case(
        "second-stage-of-another-prefix",
        second_stage(State.STALE, "prefix-mismatch"),
        "second-stage-prefix-mismatch",
        "grub>",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-without-file-system",
        without_module("part_msdos"),
        "second-stage-modules-missing",
        "no such device",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-without-driver",
        without_module("ext2"),
        "second-stage-modules-missing",
        "no such device",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-of-grub-install",
        of_grub_install(),
        "second-stage-modules-missing",
        boots=True,
    ),
    Case(
        "second-stage-without-its-directory",
        of_grub_install("module-dir-differs", lost=("linux", "normal")),
        "second-stage-modules-missing",
        "normal.mod' not found",
        certainty=LIKELY,
        also=frozenset({"second-stage-module-dir-differs"}),
    ),
    Case(
        "second-stage-amid-a-newer-grub",
        of_grub_install("grub-differs"),
        "second-stage-grub-differs",
        "symbol `grub_",
        certainty=LIKELY,
        also=frozenset({"second-stage-modules-missing"}),
    ),
    Case(
        "second-stage-amid-its-own-older-grub",
        of_grub_install("grub-differs", "module-dir-differs"),
        "second-stage-grub-differs",
        boots=True,
        also=frozenset({"second-stage-modules-missing", "second-stage-module-dir-differs"}),
    ),
    Case(
        "second-stage-old-but-whole",
        second_stage(State.STALE, "grub-differs"),
        "second-stage-grub-differs",
        boots=True,
    ),
    Case(
        "second-stage-amid-other-modules",
        minimal_mismatch,
        "second-stage-module-dir-differs",
        "symbol `grub_",
        certainty=LIKELY,
    ),
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
    Case(
        "another-kernel-gone",
        lambda tree: tree.remove(f"boot/vmlinuz-{RELEASES[2]}"),
        "kernel-missing",
        f"vmlinuz-{RELEASES[2]}' not found",
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


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=case.mode)
    case.damage(tree)
    answer = tree.preflight()
    found = {finding.name: finding for finding in answer.findings}
    assert case.code in found
    finding = found[case.code]
    assert case.console in finding.console
    assert (finding.severity, finding.certainty) == (case.severity, case.certainty)
    assert answer.will_boot == case.boots
    assert answer.ok == (case.severity is Severity.WARNING)
    assert finding.message
    assert finding.hint
    if case.severity is Severity.ERROR:
        assert {code for code, other in found.items() if other.severity is Severity.ERROR} == {
            case.code
        } | case.also
