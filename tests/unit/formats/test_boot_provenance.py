# SPDX-License-Identifier: GPL-3.0-or-later
"""By which GRUB a boot came, as the kernel's command line tells."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.formats import boot_provenance
from guest_hooks.model import LastBoot
from tests.support.checkout import CHECKOUT


def _boot(via: str, platform: str, prefix: str) -> LastBoot:
    return LastBoot(via=via, platform=platform, prefix=prefix)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "xen:(xen/xvda)/boot/grub",
            _boot("second-stage", "xen", "(xen/xvda)/boot/grub"),
            id="pv",
        ),
        pytest.param(
            "xen_pvh:(xen/xvda,gpt1)/grub",
            _boot("second-stage", "xen_pvh", "(xen/xvda,gpt1)/grub"),
            id="pvh-own-boot",
        ),
        pytest.param(
            "xen:(lvm/vg-root)/boot/grub",
            _boot("second-stage", "xen", "(lvm/vg-root)/boot/grub"),
            id="lvm",
        ),
        pytest.param(
            "xen:(memdisk)/boot/grub",
            _boot("stage-1", "xen", "(memdisk)/boot/grub"),
            id="stage-1-pv",
        ),
        pytest.param(
            "xen_pvh:(memdisk)/boot/grub",
            _boot("stage-1", "xen_pvh", "(memdisk)/boot/grub"),
            id="stage-1-pvh",
        ),
        pytest.param(
            "pc:(hd0,msdos1)/boot/grub", _boot("unknown", "pc", "(hd0,msdos1)/boot/grub"), id="hvm"
        ),
        pytest.param(
            "efi:(hd0,gpt2)/boot/grub", _boot("unknown", "efi", "(hd0,gpt2)/boot/grub"), id="efi"
        ),
        pytest.param(
            "xen:/boot/grub", _boot("unknown", "xen", "/boot/grub"), id="prefix-without-a-device"
        ),
        pytest.param("xen:", _boot("unknown", "xen", ""), id="no-prefix"),
        pytest.param("$grub_platform:$prefix", LastBoot(), id="pygrub-fills-nothing-in"),
        pytest.param("xen:$prefix", LastBoot(), id="half-filled-in"),
        pytest.param(":", LastBoot(), id="both-empty"),
        pytest.param("", LastBoot(), id="empty"),
    ],
)
def test_reads_the_parameter(value: str, expected: LastBoot) -> None:
    assert (
        boot_provenance.read(
            f"BOOT_IMAGE=/boot/vmlinuz root=UUID=1-2 ro xen_guest_bootloader.via={value} quiet\n"
        )
        == expected
    )


@pytest.mark.parametrize(
    "cmdline",
    [
        "",
        "root=/dev/xvda1 ro",
        "my_xen_guest_bootloader.via=xen:(xen/xvda)/x",
        "xen_guest_bootloader.via",
    ],
)
def test_without_the_parameter_nothing_is_known(cmdline: str) -> None:
    assert boot_provenance.read(cmdline) == LastBoot()


def test_the_last_one_counts() -> None:
    line = (
        "xen_guest_bootloader.via=xen:(memdisk)/boot/grub"
        " xen_guest_bootloader.via=xen_pvh:(xen/xvda)/grub"
    )
    assert boot_provenance.read(line).via == "second-stage"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert boot_provenance.read(text).via in ("unknown", "stage-1", "second-stage")


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"XEN_GUEST_BOOTLOADER": "1"}, f" {boot_provenance.PARAMETER}=$grub_platform:$prefix"),
        ({}, ""),
    ],
    ids=["by-the-program", "not-a-guest"],
)
def test_the_shipped_file_writes_the_parameter_unexpanded(
    environment: dict[str, str], word: str
) -> None:
    file = CHECKOUT / "config/default-grub.d/xen-guest-bootloader.cfg"
    script = 'GRUB_CMDLINE_LINUX="a=b"; prefix=wrong; . "$0"; printf %s "$GRUB_CMDLINE_LINUX"'
    made = subprocess.run(
        ["sh", "-eu", "-c", script, file],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    assert made == f"a=b{word}"
