# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are kernels, and what update-grub writes: held to Debian's own scripts of both
releases.
"""

import os
import subprocess
from pathlib import Path

import pytest

from guest_hooks.machine.root import Root
from guest_hooks.survey import kernel_images
from tests.support import debian_tree
from tests.support.debian_tree import RELEASES, Suite

NAMES = (
    *(
        "vmlinuz-6.1.0-1-amd64",
        "vmlinuz-",
        "vmlinuz",
        "vmlinux-6.1",
        "kernel-6.1",
        "kernel-genkernel-x86_64-6.1",
        "Kernel-1",
    ),
    *(
        "vmlinuz-6.1.bak",
        "vmlinuz-6.1.old",
        "vmlinuz-6.1~",
        "vmlinuz-6.1.signed",
        "vmlinuz-6.1.orig",
        "vmlinuz-rescue",
    ),
    *(
        "vmlinuz-6.1.dpkg-new",
        "vmlinuz-6.1.dpkg-tmp",
        "vmlinuz-6.1.dpkg-bak",
        "vmlinuz-a.dpkg-b-c",
        "kernel-6.1.dpkg-old",
    ),
    *(
        "vmlinuz-6.1.rpmsave",
        "vmlinuz-6.1.rpmnew",
        "vmlinuz-6.1.rpmorig",
        "vmlinuz-6.1.sig",
        "vmlinuz-README",
        "README",
    ),
    *(
        ".vmlinuz-6.1",
        "vmlinuz-6.1.",
        "vmlinuz-Ünicode",
        "vmlinuz-[1]",
        "vmlinuz-*",
        "kernel-",
        "vmlinuz.old-1",
        "vmlinuz_1",
    ),
)
DIRECTORIES = ("vmlinuz-backup", "kernel-headers")
LINKS = {
    "vmlinuz-link": "vmlinuz-6.1.0-1-amd64",
    "vmlinuz-nowhere": "no-such-file",
    "vmlinuz-to-a-directory": "vmlinuz-backup",
}
LIST = """
. "$1"
for i in "$2"/boot/vmlinuz-* "$2"/vmlinuz-* "$2"/boot/kernel-* ; do
    if grub_file_is_not_garbage "$i" ; then printf '%s\\0' "${i#"$2"}"; fi
done
"""
"""10_linux's own loop, as it is for x86."""


@pytest.mark.parametrize("suite", RELEASES)
def test_the_kernels_are_those_that_debians_own_rule_takes(tmp_path: Path, suite: Suite) -> None:
    lib = debian_tree.file(suite, "usr/share/grub/grub-mkconfig_lib", tmp_path)
    for directory in (tmp_path / "guest", tmp_path / "guest/boot"):
        directory.mkdir()
        for name in NAMES:
            (directory / name).write_bytes(b"" if name.endswith("rescue") else b"x")
        for name in DIRECTORIES:
            (directory / name).mkdir()
        for name, target in LINKS.items():
            (directory / name).symlink_to(target)
    top = tmp_path / "guest"
    done = subprocess.run(
        ["sh", "-c", LIST, "sh", str(lib), str(top)], check=True, capture_output=True, timeout=60
    )
    theirs = sorted(os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    assert len(theirs) > 20
    assert sorted(kernel_images.paths(Root(str(top)))) == theirs
