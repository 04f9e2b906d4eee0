# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged kernels and initial RAM disks, and what else keeps a kernel from starting."""

from pathlib import Path

import pytest

from guest_hooks.config import Stage1
from guest_hooks.model import Severity
from guest_hooks.preflight.result import Certainty
from tests.support import boot_tree, kernels
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    OTHER_UUID,
    PVH,
    Damage,
    both,
    by_dracut,
    damaged_payload,
    default_entry,
    kernel_of,
    luks,
    lvm_without_program,
    options,
    own_usr,
    packed,
    raid,
    remove_modules,
    set_root,
    stage1,
    truncated_initrd,
    without,
    write,
)
from tests.support.boot_tree import NEWEST, RELEASES, BootTree
from tests.support.damage_case import Case, check

NOT_XEN = "not xen image."
TOO_OLD = "version too old for xen boot."
GONE = f"file `/{KERNEL}' not found."
PANIC = "Unable to mount root fs"
SHELL = "Dropping to a shell!"
FOR_LUKS = ("xen-blkfront", "ext4", "dm-mod", "dm-crypt")
CUT_OFF_COPY = kernels.pack(kernels.vmlinux(release=NEWEST), "gzip")[:-40]
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
        "copy-cut-off",
        write(KERNEL, CUT_OFF_COPY),
        "kernel-damaged",
        "attempt to seek outside of the file",
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
    Case(
        "initrd-without-the-driver-of-usr",
        own_usr("xfs"),
        "initrd-lacks-module",
        "as /usr file system.",
    ),
    Case("initrd-without-its-raid", raid(), "initrd-lacks-module", SHELL),
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
        "another-kernel-gone",
        lambda tree: tree.remove(f"boot/vmlinuz-{RELEASES[2]}"),
        "kernel-missing",
        f"vmlinuz-{RELEASES[2]}' not found",
        boots=True,
        severity=WARNING,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(write(KERNEL, damaged_payload()), id="damaged"),
        pytest.param(write(KERNEL, b""), id="empty"),
        pytest.param(remove_modules, id="modules"),
    ],
)
def test_since_forky_a_kernel_is_of_several_packages(damage: Damage, tmp_path: Path) -> None:
    """Its file and its modules are in others than the one that copies them to /boot, where the
    kernel is the same file as in /usr/lib/modules if both are on one file system.
    """
    tree = BootTree(tmp_path)
    names = [f"linux-{kind}-{NEWEST}" for kind in ("image", "binary", "base", "modules")]
    for name in names:
        tree.write(f"var/lib/dpkg/info/{name}.list", b"/.\n")
    damage(tree)
    (finding,) = tree.preflight().findings
    assert finding.hint.endswith(f"apt install --reinstall {' '.join(names)}")
