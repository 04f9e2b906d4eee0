# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel that was just installed is judged by itself."""

from pathlib import Path

from guest_hooks.config import Config
from guest_hooks.hooks import kernel
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.model import Guest, Mode
from guest_hooks.preflight.next_boot import kernel_problems
from guest_hooks.preflight.result import Finding
from tests.support import boot_tree, kernels
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    PV,
    PVH,
)
from tests.support.boot_tree import NEWEST, BootTree


def problems_of(top: Path, guest: Guest) -> tuple[Finding, ...]:
    root = Root(str(top))
    return kernel_problems(root, guest, NEWEST, Memory(root))


def test_a_new_kernel_is_judged_by_itself(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    guest = Guest(mode=PV, bits=64)
    assert problems_of(tmp_path, guest) == ()
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    assert [finding.code for finding in problems_of(tmp_path, guest)] == ["kernel-compression"]
    assert problems_of(tmp_path, Guest(mode=PVH, bits=64)) == ()
    tree.remove(INITRD)
    assert [finding.code for finding in problems_of(tmp_path, Guest(mode=PVH, bits=64))] == [
        "initrd-none"
    ]
    assert problems_of(tmp_path, Guest(mode=Mode.HVM, bits=64)) == ()


def test_a_new_kernel_of_a_32_bit_guest(tmp_path: Path) -> None:
    """Debian's own starts as PVH alone, and what would start is no kernel of 64 bits."""
    tree = BootTree(tmp_path)
    elf = kernels.vmlinux(notes=kernels.PAE_NOTES, release=NEWEST, bits=32)
    tree.write(KERNEL, kernels.bzimage(elf, release=NEWEST))
    assert problems_of(tmp_path, Guest(mode=PVH, bits=32)) == ()
    (finding,) = problems_of(tmp_path, Guest(mode=PV, bits=32))
    assert finding.code == "kernel-no-pv"
    assert "such as one of Linux before 5.9, or have the host start this guest as PVH" in (
        finding.hint
    )


def test_a_new_kernel_without_an_initrd_is_given_one_by_what_is_installed(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.remove(INITRD)
    tree.write("usr/bin/dracut", b"")
    (finding,) = problems_of(tmp_path, Guest(mode=PVH, bits=64))
    assert f"dracut --force /{INITRD} {NEWEST}" in finding.hint


def test_a_new_kernel_that_cannot_boot_is_told_loudly(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("sys/hypervisor/type", b"xen\n")
    tree.write("sys/hypervisor/guest_type", b"PV\n")
    config = Config(targets=("x86_64-xen",))
    root = Root(str(tmp_path))
    assert kernel.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"]) == []
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    lines = kernel.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"])
    assert f"xen-guest-bootloader: this guest will not boot with Linux {NEWEST}:" in lines
    assert "  console  error: not xen image." in lines
    assert kernel.kernel_warning(root, config, []) == []
    assert kernel.kernel_warning(root, Config(targets=("i386-xen_pvh",)), [NEWEST]) == []
