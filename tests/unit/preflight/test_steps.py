# SPDX-License-Identifier: GPL-3.0-or-later
"""The next step that preflight names is one that repairs this guest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks.config import Config, PvKernels
from guest_hooks.machine.root import Root
from guest_hooks.model import (
    FileStatus,
    GrubCfgStatus,
    Guest,
    KernelStatus,
    Mode,
    Start,
    State,
    Status,
)
from guest_hooks.preflight import tools
from guest_hooks.problems.row import Actor
from tests.support.boot_damage import (
    INITRD,
    KERNEL,
    arguments,
    both,
    environment,
    menu,
    saved,
    set_root,
    timeout,
    write,
)
from tests.support.boot_tree import NEWEST, BootTree


def kernel_gone(tree: BootTree) -> None:
    """As a sync sees it, too."""
    tree.remove(KERNEL)
    tree.grub_cfg = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.STALE)


def builders_root(tree: BootTree) -> None:
    set_root("root=/dev/nbd7")(tree)
    tree.write("etc/default/grub", b'#root=/dev/nbd7\nGRUB_CMDLINE_LINUX="root=/dev/nbd7"\n')


def commented_root(tree: BootTree) -> None:
    set_root("root=/dev/nbd7")(tree)
    tree.write("etc/default/grub", b"# not root=/dev/nbd7\n")


def single(tree: BootTree) -> None:
    arguments("single")(tree)
    tree.write("etc/grub.d/10_linux", b'GRUB_CMDLINE_LINUX_RECOVERY="single"\n')


def letter(tree: BootTree) -> None:
    arguments("S")(tree)
    tree.write("etc/default/grub.d/a.cfg", b"GRUB_DISABLE_SUBMENU=y\n")
    tree.write("etc/default/grub", b'GRUB_CMDLINE_LINUX="S quiet"\n')


def from_custom(text: str) -> Callable[[BootTree], object]:
    """What an admin's file says, which 41_custom reads."""
    return write("boot/grub/custom.cfg", f"{text}\n".encode())


def from_script(tree: BootTree) -> None:
    """What an admin's script prints."""
    tree.edit_menu("set timeout=5\n", "set timeout=-1\n")
    tree.write("etc/grub.d/40_custom", b"#!/bin/sh\necho set timeout=-1\n")


ENTRY = "menuentry mine {\ntrue\n}"


def no_initrd(tree: BootTree) -> None:
    tree.remove(INITRD)


def other_initrd(tree: BootTree) -> None:
    """A menu of the admin's names an initrd that no tool of Debian's makes."""
    lines = f"set default=mine\nmenuentry mine {{\nlinux /{KERNEL} root=/dev/xvda1\n"
    from_custom(f"{lines}initrd /boot/initrd.gz\n}}")(tree)


def no_initrd_with_dracut(tree: BootTree) -> None:
    tree.remove(INITRD)
    tree.write("usr/bin/dracut", b"")


def bad_initrd(tree: BootTree) -> None:
    tree.write(INITRD, b"")


def empty_menu(tree: BootTree) -> None:
    tree.write("boot/grub/grub.cfg", b"set timeout=5\n")


def no_kernel_at_all(tree: BootTree) -> None:
    empty_menu(tree)
    for image in (tree.top / "boot").glob("vmlinuz-*"):
        image.unlink()


def own_entry_without_kernel(tree: BootTree) -> None:
    tree.remove(KERNEL)
    tree.write("etc/grub.d/40_custom", f"linux /{KERNEL}\n".encode())


@pytest.mark.parametrize(
    ("damage", "hint", "actor"),
    [
        pytest.param(
            set_root("root=/dev/nbd7"), "make the menu again: update-grub", Actor.GUEST, id="root"
        ),
        pytest.param(
            builders_root,
            "correct root=/dev/nbd7 in /etc/default/grub, then: update-grub",
            Actor.GUEST,
            id="root-of-the-command-line",
        ),
        pytest.param(
            commented_root, "make the menu again: update-grub", Actor.GUEST, id="root-in-a-comment"
        ),
        pytest.param(
            single, "make the menu again: update-grub", Actor.GUEST, id="a-word-of-grub-s-own"
        ),
        pytest.param(
            letter,
            "correct S in /etc/default/grub, then: update-grub",
            Actor.GUEST,
            id="a-letter-that-is-a-word",
        ),
        pytest.param(
            kernel_gone,
            "make the menu again: xen-guest-bootloader sync",
            Actor.HERE,
            id="kernel-that-a-sync-sees",
        ),
        pytest.param(
            own_entry_without_kernel,
            f"correct vmlinuz-{NEWEST} in /etc/grub.d/40_custom, then: update-grub",
            Actor.GUEST,
            id="kernel-of-an-entry-of-the-admins",
        ),
        pytest.param(
            no_initrd, f"make it again: update-initramfs -c -k {NEWEST}", Actor.GUEST, id="initrd"
        ),
        pytest.param(
            other_initrd,
            f"make it again: update-initramfs -c -k {NEWEST}, and have the menu name"
            f" /boot/initrd.img-{NEWEST}: correct initrd.gz in /boot/grub/custom.cfg, then:"
            " update-grub",
            Actor.GUEST,
            id="initrd-of-another-name",
        ),
        pytest.param(
            bad_initrd,
            f"make it again: update-initramfs -u -k {NEWEST}",
            Actor.GUEST,
            id="bad-initrd",
        ),
        pytest.param(
            no_initrd_with_dracut,
            f"make it again: dracut --force /boot/initrd.img-{NEWEST} {NEWEST}",
            Actor.GUEST,
            id="initrd-of-dracut",
        ),
        pytest.param(
            from_custom("set timeout=-1"),
            "set timeout=5 in /boot/grub/custom.cfg",
            Actor.GUEST,
            id="waits-by-a-file",
        ),
        pytest.param(
            from_script,
            "set timeout=5 in /etc/grub.d/40_custom, then: update-grub",
            Actor.GUEST,
            id="waits-by-a-script",
        ),
        pytest.param(
            timeout("-1"),
            "set GRUB_TIMEOUT=5 in /etc/default/grub, then: update-grub",
            Actor.GUEST,
            id="waits-by-the-settings",
        ),
        pytest.param(
            menu("set timeout=-1\nmenuentry a {\n{load}}\n"),
            "set timeout=5 in /boot/grub/grub.cfg",
            Actor.GUEST,
            id="waits-by-hand",
        ),
        pytest.param(
            from_custom(f"set default=mine\n{ENTRY}"),
            "set another default in /boot/grub/custom.cfg",
            Actor.GUEST,
            id="nothing-by-a-file",
        ),
        pytest.param(
            both(from_custom(ENTRY), saved("mine")),
            "choose another entry: grub-set-default 0",
            Actor.GUEST,
            id="nothing-by-what-is-saved",
        ),
        pytest.param(
            both(from_custom(ENTRY), environment(next_entry="mine")),
            "let the next boot take the usual entry: grub-editenv - unset next_entry",
            Actor.GUEST,
            id="nothing-for-once",
        ),
        pytest.param(empty_menu, "make the menu again: update-grub", Actor.GUEST, id="empty-menu"),
        pytest.param(
            no_kernel_at_all, "apt install linux-image-amd64", Actor.GUEST, id="no-kernel-at-all"
        ),
    ],
)
def test_the_step_is_for_this_guest(
    tmp_path: Path, damage: Callable[[BootTree], object], hint: str, actor: Actor
) -> None:
    tree = BootTree(tmp_path)
    damage(tree)
    findings = tree.preflight().findings
    assert [(finding.hint, finding.actor) for finding in findings if finding.stops] == [
        (hint, actor)
    ]


@pytest.mark.parametrize(
    ("copy", "config", "step"),
    [
        pytest.param(
            State.MISSING, Config(), "make a copy that it can: xen-guest-bootloader sync", id="none"
        ),
        pytest.param(
            State.CURRENT,
            Config(),
            "make the menu again: update-grub; it then starts the copy",
            id="there-and-not-in-the-menu",
        ),
        pytest.param(
            None,
            Config(pv_kernels=PvKernels.NEVER),
            'set pv_kernels = "auto"; make a copy that it can: xen-guest-bootloader sync',
            id="not-wanted",
        ),
    ],
)
def test_a_packed_kernel_is_not_sent_in_a_circle(
    tmp_path: Path, copy: State | None, config: Config, step: str
) -> None:
    tree = BootTree(tmp_path)
    kernel = KernelStatus(
        version=NEWEST,
        compression="zstd",
        path=f"/{KERNEL}",
        pv=Start.NOT,
        pvh=Start.ITSELF,
        copy=None
        if copy is None
        else FileStatus(path=f"/boot/xen/vmlinux-{NEWEST}.gz", state=copy),
    )
    status = Status(
        guest=Guest(mode=Mode.PV, bits=64),
        boot=tree.boot,
        targets=(),
        grub_cfg=tree.grub_cfg,
        kernels=(kernel,),
    )
    assert tools.steps(Root(str(tree.top)), status, config, {}).unpacked(kernel.path).words == step
