# SPDX-License-Identifier: GPL-3.0-or-later
"""How a line is broken: a command stays one that can be pasted."""

import pytest

from guest_hooks.report import (
    layout,
)
from guest_hooks.report.layout import Style
from guest_hooks.sizes import size


@pytest.mark.parametrize(
    ("hint", "lines"),
    [
        pytest.param(
            "bring it up to date with: xen-guest-bootloader sync",
            ["  do      bring it up to date with:", "          xen-guest-bootloader sync"],
            id="on-the-next-line",
        ),
        pytest.param(
            "make it: xen-guest-bootloader sync --root /mnt --target x86_64-xen",
            ["  do      make it:", "  xen-guest-bootloader sync --root /mnt --target x86_64-xen"],
            id="on-a-line-of-its-own",
        ),
        pytest.param(
            "copy it: xen-guest-bootloader sync; or have the host start it as PVH",
            [
                "  do      copy it: xen-guest-bootloader sync; or",
                "          have the host start it as PVH",
            ],
            id="with-another-way",
        ),
        pytest.param(
            "make it: update-initramfs -c -k 6.1.0-57-cloud-amd64; or boot another",
            [
                "  do      make it:",
                "  update-initramfs -c -k 6.1.0-57-cloud-amd64",
                "          or boot another",
            ],
            id="another-way-below",
        ),
        pytest.param(
            "remove it: rm /boot/xen/pvhboot-i386.elf /boot/xen/pvhboot-i386.linux; or keep it",
            [
                "  do      remove it:",
                "  rm /boot/xen/pvhboot-i386.elf /boot/xen/pvhboot-i386.linux",
                "          or keep it",
            ],
            id="the-first-way",
        ),
        pytest.param(
            "apt install --reinstall linux-image-6.1.0-57-amd64",
            ["  do", "  apt install --reinstall linux-image-6.1.0-57-amd64"],
            id="a-command-alone",
        ),
        pytest.param(
            "inside the guest: boot a kernel of 64 bits, or of 32 bits",
            ["  do      inside the guest: boot a kernel of 64", "          bits, or of 32 bits"],
            id="words-behind-a-colon",
        ),
        pytest.param(
            "mount its file system for writing, and try it again",
            ["  do      mount its file system for writing, and", "          try it again"],
            id="a-word-that-is-a-program-s-name-too",
        ),
        pytest.param(
            "keys are: targets, modules, extra_modules, pvh_names",
            ["  do      keys are: targets, modules,", "          extra_modules, pvh_names"],
            id="a-list",
        ),
    ],
)
def test_a_command_is_not_broken(hint: str, lines: list[str]) -> None:
    assert layout.step(hint, Style(width=50), first=layout.plain("  do      "), indent=10) == lines


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (2936012, "2.8 MiB"),
        (64 << 20, "64.0 MiB"),
        (400 << 20, "400 MiB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words
